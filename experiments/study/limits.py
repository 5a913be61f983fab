"""How far `auto` is from what its signals could tell at most, in finished runs with labels.

    python experiments/study/limits.py runs/NAME/seed-1/merging/auto …

In the place of public samples and damaged copies of them, what is good is learnt from all other clients' samples and
their true labels, which nobody has; and in the place of `posterior`, every client keeps its true share of good samples,
or the most that it can of which 90 % are good.
Writes docs/results/limits/NAME-1.parquet: a row a variant, of all clients' samples together.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from variants import figures, of_kept

from clues.io.files import write_rows
from clues.methods.default.corruptions import TYPES
from clues.methods.default.score import FEATURES, log_odds
from clues.selection.metrics import read_labels
from clues.settings import Rule, RunSettings, read_toml, validated
from clues.silo.tables import ScoreTable

STORED = Path(__file__).parents[2] / "docs" / "results" / "limits"
RULES: tuple[Rule, ...] = ("posterior", "oracle-ratio")


@dataclass(frozen=True)
class Scored:
    """A client: what `auto` says of its samples and of the anchors, and of each sample the kind of its damage."""

    samples: Mapping[str, Tensor] | ScoreTable
    anchors: Mapping[str, Tensor] | ScoreTable
    kinds: list[str]

    def column(self, name: str) -> Tensor:
        """Of the samples, and then of the anchors."""
        return torch.cat([self.samples[name], self.anchors[name]])

    @property
    def signals(self) -> Tensor:
        """Of the samples, and then of the anchors: rows × signals."""
        return torch.stack([self.column(name) for name in FEATURES], dim=1)


def main(runs: Sequence[Path]) -> None:
    for run in runs:
        clients = read(run)
        kinds = {name: client.kinds for name, client in clients.items()}
        scores = {
            "public samples": {name: client.column("score") for name, client in clients.items()},
            "the others' labels": {name: from_labels(clients, name) for name in clients},
        }
        rows = []
        for learnt, found in scores.items():
            for rule in RULES:
                rows.append({"study": "limits", "variant": f"{learnt}, {rule}", **figures(found, kinds, rule)})
            most = {name: most_at(found[name][: len(own)], own) for name, own in kinds.items()}
            rows.append({"study": "limits", "variant": f"{learnt}, most", **of_kept(found, most, kinds)})
        write_rows(STORED / f"{stored_name(run)}.parquet", rows)


def stored_name(run: Path) -> str:
    """NAME-1 of a run in NAME/seed-1."""
    folder = next(part for part in run.parents if part.name.startswith("seed-"))
    return f"{folder.parent.name}-{folder.name.removeprefix('seed-')}"


def read(run: Path) -> dict[str, Scored]:
    clients = {}
    for client in validated(RunSettings, read_toml(run / "config.toml")).clients:
        folder = run / "clients" / client.id
        samples, anchors = ScoreTable(folder / "scores.parquet"), ScoreTable(folder / "anchors.parquet")
        labels = read_labels(str(client.labels), samples.ids)
        clients[client.id] = Scored(samples, anchors, [labels[identity] for identity in samples.ids])
    return clients


def most_at(scores: Tensor, kinds: Sequence[str], precision: float = 0.9) -> Tensor:
    """The best samples, as many as can be with this share of good ones among them: samples, bool."""
    best = scores.argsort(descending=True, stable=True)
    good = torch.tensor([not kind for kind in kinds], dtype=torch.float64)[best]
    enough = good.cumsum(0) / torch.arange(1, len(good) + 1) >= precision
    kept = torch.zeros(len(scores), dtype=torch.bool)
    kept[best[: max((row + 1 for row, each in enumerate(enough.tolist()) if each), default=0)]] = True
    return kept


def from_labels(clients: Mapping[str, Scored], name: str) -> Tensor:
    """The log-odds of a client's samples, and of the anchors, learnt from all other clients' samples."""
    own, others = clients[name].signals, [client for other, client in clients.items() if other != name]
    signals = torch.cat([own, *[client.signals[: len(client.kinds)] for client in others]])
    kinds = np.array([""] * len(own) + [kind for client in others for kind in client.kinds])
    good = torch.from_numpy((kinds == "") & (np.arange(len(kinds)) >= len(own)))
    types = np.array([list(TYPES).index(kind) if kind in TYPES else -1 for kind in kinds])
    return log_odds(signals, good=good, corruption=types, private=len(clients[name].kinds))[: len(own)]


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
