"""The grid of all samples, to jump to one. Only the rows that are shown travel to the browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import run, ui
from nicegui.events import GenericEventArguments

from clues.review.session import VERBS, Session

_COLUMNS = {"mark": "Mark", "score": "Score", "by_score": "By score", "prompt": "Prompt"}
_OPEN = """<q-td :props="props"><q-btn flat dense no-caps align="left" class="jump" :label="props.value"
 @click="$parent.$emit('jump', props.row)" /></q-td>"""
_LENGTH = 160  # characters of a prompt


class Grid:
    """A dialog with a table of all samples, sorted, searched and paged by the server."""

    def __init__(self, session: Session, jump: Callable[[int], None]) -> None:
        self.session, self.jump = session, jump
        self.shown: dict[str, Any] = {"page": 1, "rowsPerPage": 50, "sortBy": "score", "descending": False}
        # Quasar sends this back when it first shows the table. Without a number of rows, that late answer would undo
        # the one that `_fill` has set, and the first page would pass for all rows.
        self.shown["rowsNumber"] = len(session.owner.table)
        with ui.dialog() as self.dialog, ui.card().classes("grid"):
            self.dialog.props('full-width full-height aria-label="All samples"')
            with ui.element("div").classes("search"):
                self.search = ui.input("Search", on_change=self._searched)
                self.search.props("outlined dense debounce=300 autofocus")
                ui.button("Close", on_click=self.dialog.close, color=None).props("flat no-caps")
            columns = [
                {"name": name, "field": name, "label": label, "classes": name, "headerClasses": name}
                | {"align": "left", "sortable": name in ("mark", "score")}
                for name, label in _COLUMNS.items()
            ]
            self.table = ui.table(rows=[], columns=columns, row_key="row", pagination=self.shown).props("flat dense")
            self.table.add_slot("body-cell-prompt", _OPEN)
            self.table.on("request", self._requested)
            self.table.on("jump", self._jumped)

    @property
    def is_open(self) -> bool:
        return bool(self.dialog.value)

    async def open(self) -> None:
        self.dialog.open()
        await self._fill()

    async def _searched(self) -> None:
        self.shown["page"] = 1
        await self._fill()

    async def _requested(self, event: GenericEventArguments) -> None:
        self.shown |= event.args["pagination"]
        await self._fill()

    def _jumped(self, event: GenericEventArguments) -> None:
        self.dialog.close()
        self.jump(int(event.args["row"]))

    async def _fill(self) -> None:
        """Show a page of what is wanted. A search of many samples takes a while, and another may start meanwhile."""
        wanted = {"words": self.search.value or "", "by_mark": self.shown["sortBy"] == "mark"}
        wanted |= {"falling": bool(self.shown["descending"])}
        self._wanted = wanted
        rows = await run.io_bound(self.session.found, **wanted)
        if rows is None or self._wanted is not wanted:
            return
        size = self.shown["rowsPerPage"] or len(rows)
        start = (self.shown["page"] - 1) * size
        self.shown["rowsNumber"] = len(rows)
        self.table.pagination = dict(self.shown)
        self.table.rows = [self._line(row) for row in rows[start : start + size]]

    def _line(self, row: int) -> dict[str, Any]:
        session = self.session
        prompt = " ".join(str(session.owner.private.samples[row].context[-1]["content"]).split())
        return {
            "row": row,
            "mark": VERBS.get(session.mark(row).quality, ""),
            "score": f"{float(session.scores[row]):.3g}",
            "by_score": "kept" if session.kept[row] else "dropped",
            "prompt": prompt if len(prompt) <= _LENGTH else f"{prompt[:_LENGTH]}…",
        }
