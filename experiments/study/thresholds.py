"""The global threshold against a ratio and a fixed score (the paper's Table 3), in finished runs of `auto` with labels.

    python experiments/study/thresholds.py runs/NAME/seed-1/merging/auto …

Writes docs/results/thresholds/NAME-1.parquet: a row a score and rule, of all clients' samples together. `ratio` keeps
the best half of every client, `score` what has a score of at least 0: an agreement with the validation set at all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from limits import read, stored_name
from variants import figures

from clues.io.files import write_rows
from clues.settings import Rule

STORED = Path(__file__).parents[2] / "docs" / "results" / "thresholds"
SCORES = {"paper": "paper", "cosine": "cosine", "auto": "score"}  # by name, the column that holds them
RULES: tuple[Rule, ...] = ("anchor-mean", "anchor-quantile", "ratio", "score")


def main(runs: Sequence[Path]) -> None:
    for run in runs:
        clients = read(run)
        kinds = {name: client.kinds for name, client in clients.items()}
        rows = []
        for score, column in SCORES.items():
            found = {name: client.column(column) for name, client in clients.items()}
            for rule in RULES:
                rows.append({"study": "thresholds", "variant": f"{score}, {rule}", **figures(found, kinds, rule)})
        write_rows(STORED / f"{stored_name(run)}.parquet", rows)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
