"""The commands that make data for benchmarks: part of the command line in `cli.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clues.commands.guard import command as _command
from clues.commands.help import WithKinds
from clues.commands.options import Seed, Set, given, names

app = typer.Typer()

Kinds = Annotated[
    str | None,
    typer.Option(
        help="Corruption types, listed above; natural stands for all natural ones.", show_default="cut,delete,exchange"
    ),
]
Severity = Annotated[
    float | None,
    typer.Option(
        help="Share of a response that is corrupted; types that replace all of it ignore this.", show_default="0.5"
    ),
]


@app.command(
    cls=WithKinds, epilog="Example: clues corrupt clean.jsonl --share 0.5 --kinds cut,natural --out mixed.jsonl"
)
@_command
def corrupt(
    samples: str,
    share: Annotated[float, typer.Option(help="Share of the samples to corrupt.")],
    out: Annotated[Path, typer.Option(help="Output file; labels go to OUT's stem + .labels.jsonl.")],
    kinds: Kinds = None,
    severity: Severity = None,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Corrupt a known share of a clean file and write its labels to a second file, for benchmarks."""
    from clues.commands.tables import facts_table, show
    from clues.lab.corruption import corrupt_file
    from clues.settings import CorruptSettings, validated

    values = {"seed": seed, "samples": samples, "share": share, **given(kinds=kinds, severity=severity)}
    show(facts_table(str(out), corrupt_file(validated(CorruptSettings, values, set_ or []), out)))


@app.command(
    cls=WithKinds,
    epilog="Example: clues partition icd10.jsonl --by source --clients en,es,fr --domain source --shares 0.2,0.5,0.8 "
    "--out runs/languages-data",
)
@_command
def partition(
    samples: str,
    clients: Annotated[str, typer.Option(help="Number of clients, or their names; with --by, values of that field.")],
    out: Annotated[Path, typer.Option(help="Output folder for the clients' and the public files.")],
    by: Annotated[str | None, typer.Option(help="The field that says which client owns a sample.")] = None,
    domain: Annotated[
        str | None, typer.Option(help="The field that names the domain; without it, a domain is a file.")
    ] = None,
    judged: Annotated[
        bool, typer.Option("--judged", help="Corrupt nothing: the field 'quality' says which samples are good or low.")
    ] = False,
    shares: Annotated[
        str | None,
        typer.Option(
            help="Share of low quality: one for all clients, or one for each.",
            show_default="0.5; with --judged, as in the file",
        ),
    ] = None,
    dirichlet: Annotated[
        float | None, typer.Option(help="Concentration β: spread the one share unevenly over the clients.")
    ] = None,
    kinds: Kinds = None,
    severity: Severity = None,
    per_client: Annotated[int, typer.Option(min=2, help="Maximum samples per client.")] = 40,
    max_words: Annotated[
        int | None, typer.Option(min=1, help="Omit longer responses; two Chinese or Japanese characters are a word.")
    ] = None,
    validation: Annotated[int, typer.Option(min=1, help="Validation samples per domain.")] = 16,
    anchors: Annotated[int, typer.Option(min=1, help="Anchors per domain.")] = 10,
    tests: Annotated[int, typer.Option(min=0, help="Held-out test samples per domain.")] = 20,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Turn clean or judged samples into an experiment: clients of known quality, public files, tests."""
    from clues.commands.tables import facts_table, show
    from clues.lab.partition import partition as recipe
    from clues.settings import PartitionSettings, validated

    numbered = not by and clients.isdigit()
    values = {
        "seed": seed,
        "samples": samples,
        "clients": [f"client-{n + 1}" for n in range(int(clients))] if numbered else names(clients),
        "by": by,
        "domain": domain,
        "judged": judged,
        "dirichlet": dirichlet,
        "per_client": per_client,
        "max_words": max_words,
        "validation": validation,
        "anchors": anchors,
        "tests": tests,
        **given(shares=shares, kinds=kinds, severity=severity),
    }
    show(facts_table(str(out), recipe(validated(PartitionSettings, values, set_ or []), out)))
