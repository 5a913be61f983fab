"""Help texts that list what a registry contains."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class WithKinds(TyperCommand):
    """A command whose help lists the corruption types. They are imported only then, as that takes time."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from clues.lab.corruption import KINDS, NATURAL

        groups = {
            "Corruption types:": [name for name in KINDS if name not in NATURAL],
            "Natural corruption types, together named natural:": NATURAL,
        }
        width = max(map(len, KINDS))
        for title, names in groups.items():
            lines = [f"{name:{width}}  {KINDS[name].title}" for name in names]
            self.help = "\n".join([f"{self.help}\n\n\b", title, *lines])
        super().format_help(ctx, formatter)
