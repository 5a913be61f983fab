"""How much the default score depends on each of its features and constants, and what reviewed samples add.

    python experiments/sensitivity.py runs/kinds/all runs/real/equal

reads the features that finished runs of `auto` stored, combines them anew with one thing changed at a time, or with
weights learnt from true labels, and writes the tables of docs/results.md that come from it. No model is needed.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from results import PAGE, replaced
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import Tensor

from clues.lab.corruption import KINDS
from clues.lab.tables import grid
from clues.methods.default import groups
from clues.methods.default.columns import FEATURES, HIGHEST, LOWEST
from clues.selection.metrics import read_labels, selection_metrics
from clues.selection.reviewed import best_limit, updated_log_odds, worth_reviewing
from clues.settings import RunSettings, read_toml, validated
from clues.silo.tables import ScoreTable

REVEALED = (0, 10, 20)
_FILES = ("scores", "anchors", "validation")
_CLASSIFIER, _LOGIT = LogisticRegression(class_weight="balanced"), "decision_function"
Sum = Callable[[Tensor], Tensor]  # samples × features → samples


@dataclass(frozen=True)
class Owner:
    """A data owner of a finished run: features of own and of clean samples, and each sample's kind, empty if good.

    `name`: the same in every draw, whose samples come from the same file.
    """

    experiment: str
    name: str
    features: Tensor
    clean: Tensor
    kinds: list[str]

    @property
    def good(self) -> Tensor:
        return torch.tensor([not kind for kind in self.kinds])


def main(folders: Sequence[Path]) -> None:
    owners = [owner for folder in folders for owner in read(folder)]
    corrupted = [owner for owner in owners if set(owner.kinds) & set(KINDS)]
    tables = {"sensitivity": sensitivity(owners), "types": by_type(corrupted), "reviewed": reviewing(owners)}
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables.items():
        text = replaced(text, name, table)
        print(table, "\n")
    PAGE.write_text(text, encoding="utf-8")


def read(folder: Path) -> Iterator[Owner]:
    """The owners of all runs of `auto` below a folder of `clues compare`."""
    for config in sorted(folder.glob("seed-*/**/auto/config.toml")):
        settings = validated(RunSettings, read_toml(config))
        for client in settings.clients:
            own = config.parent / "clients" / client.id
            if client.labels and (own / "scores.parquet").is_file():
                name = f"{config.parent.parent.name} {client.id}"
                table, anchors, shown = (ScoreTable(own / f"{name}.parquet") for name in _FILES)
                labels = read_labels(client.labels, table.ids)
                own, *clean = (
                    torch.tensor(np.stack([t[name] for name in FEATURES], axis=1)) for t in (table, anchors, shown)
                )
                yield Owner(folder.name, name, own, torch.cat(clean), [labels[identity] for identity in table.ids])


def sensitivity(owners: Sequence[Owner]) -> str:
    """A line per change; for each experiment, mean AUROC, F1, and the share kept of good samples alone."""
    experiments = list(dict.fromkeys(owner.experiment for owner in owners))
    lines = []
    for name, combined, constants in changes():
        with patch.multiple(groups, **constants) if constants else nullcontext():
            cells = [
                cell
                for experiment in experiments
                for cell in measured([o for o in owners if o.experiment == experiment], combined)
            ]
        lines.append([name, *cells])
    for name, learnt in (("their own labels", within), ("the labels of the others", across)):
        of_each = ([o for o in owners if o.experiment == experiment] for experiment in experiments)
        lines.append([f"weights learnt from {name}", *(cell for some in of_each for cell in (learnt(some), "–", "–"))])
    head = [f"{figure}, {name}" for name in experiments for figure in ("AUROC", "F1", "kept where all are good")]
    return grid(["changed", *head], lines)


def changes() -> Iterator[tuple[str, Sum, dict[str, float]]]:
    """(what is changed, the sum of features, constants of the two groups)."""
    yield "nothing", summed(), {}
    for name, one, others in (("without {}", 0.0, 1.0), ("{} alone", 1.0, 0.0), ("{} counted twice", 2.0, 1.0)):
        for place, feature in enumerate(FEATURES):
            weights = [one if n == place else others for n in range(len(FEATURES))]
            yield name.format(feature), summed(weights), {}
    for lowest, highest in ((-3.0, 1.5), (-8.0, 1.5), (-4.0, 0.5), (-4.0, 3.0)):
        yield f"features clamped to {lowest:g} … {highest:g}", summed(lowest=lowest, highest=highest), {}
    for constant, values in {
        "DISTANCE": (2.0, 4.0),
        "SPREAD": (1.5, 3.0),
        "WEIGHT": (0.03, 0.3),
        "EVIDENCE": (0.0, 4.0),
        "TAIL": (2.0, 3.0),
        "LEAST_VARIANCE": (0.1, 1.0),
    }.items():
        for value in values:
            yield f"{constant} {value:g}", summed(), {constant: value}


def summed(weights: Sequence[float] = (1.0,) * len(FEATURES), lowest: float = LOWEST, highest: float = HIGHEST) -> Sum:
    return lambda features: features.clamp(lowest, highest) @ torch.tensor(weights, dtype=torch.float64)


def measured(owners: Sequence[Owner], combined: Sum) -> list[str]:
    auroc, f1, kept = [], [], []
    for owner in owners:
        total, clean = combined(owner.features), combined(owner.clean)
        log_odds = groups.judged(total, clean)[0]
        figures = selection_metrics(log_odds.tolist(), (log_odds > 0).tolist(), owner.kinds)
        auroc.append(figures["auroc"])
        f1.append(figures["f1"])
        of_good = groups.judged(total[owner.good], clean)[0]
        kept.append(float((of_good > 0).double().mean()))
    return [f"{statistics.fmean(values):.3f}" for values in (auroc, f1, kept)]


def within(owners: Sequence[Owner]) -> str:
    """The most that a sum of these features can reach: for each owner, weights learnt from four fifths of its true
    labels rank the other fifth. Mean AUROC over 20 divisions into fifths.
    """
    found = []
    for owner in owners:
        features, good = owner.features.clamp(LOWEST, HIGHEST).numpy(), owner.good.numpy()
        for seed in range(20):
            folds = StratifiedKFold(5, shuffle=True, random_state=seed)
            found.append(roc_auc_score(good, cross_val_predict(_CLASSIFIER, features, good, cv=folds, method=_LOGIT)))
    return f"{statistics.fmean(found):.3f}"


def across(owners: Sequence[Owner]) -> str:
    """The mean AUROC of each owner's samples, ranked by weights learnt from the true labels of all other owners.

    Other draws of the same owner are left out, as they share samples with it.
    """
    pairs = [(owner, [other for other in owners if other.name != owner.name]) for owner in owners]
    found = [ranked(owner, others) for owner, others in pairs if others]
    return f"{statistics.fmean(found):.3f}" if found else "–"


def ranked(owner: Owner, others: Sequence[Owner]) -> float:
    features, good = (torch.cat([getattr(o, name) for o in others]) for name in ("features", "good"))
    classifier = _CLASSIFIER.fit(features.clamp(LOWEST, HIGHEST).numpy(), good.numpy())
    scores = classifier.decision_function(owner.features.clamp(LOWEST, HIGHEST).numpy())
    return float(roc_auc_score(owner.good.numpy(), scores))


def by_type(owners: Sequence[Owner]) -> str:
    """A line per corruption type: its samples, their AUROC by the sum, and by weights learnt for this type alone."""
    lines = []
    for kind in KINDS:
        having = [of_kind(owner, kind) for owner in owners if kind in owner.kinds]
        if having:
            count = sum(owner.kinds.count(kind) for owner in having)
            by_sum = [roc_auc_score(owner.good.numpy(), summed()(owner.features).numpy()) for owner in having]
            lines.append([kind, str(count), f"{statistics.fmean(by_sum):.3f}", across(having)])
    return grid(["type", "samples", "AUROC", "AUROC with weights learnt for this type alone"], lines)


def of_kind(owner: Owner, kind: str) -> Owner:
    """The owner's good samples and those of one kind."""
    rows = [row for row, of_row in enumerate(owner.kinds) if of_row in ("", kind)]
    return replace(owner, features=owner.features[rows], kinds=[owner.kinds[row] for row in rows])


def reviewing(owners: Sequence[Owner]) -> str:
    """A line per experiment and number of true labels revealed: F1 of the samples that were not, and of all."""
    lines = []
    for experiment in dict.fromkeys(owner.experiment for owner in owners):
        of_experiment = [owner for owner in owners if owner.experiment == experiment]
        for count in REVEALED:
            pairs = [revealed(owner, count) for owner in of_experiment]
            before, after, whole = (statistics.fmean(column) for column in zip(*pairs, strict=True))
            lines.append([experiment, str(count), f"{before:.3f}", f"{after:.3f}", f"{whole:.3f}"])
    return grid(["experiment", "reviewed", "F1 of the others before", "F1 of the others after", "F1 of all"], lines)


def revealed(owner: Owner, count: int) -> tuple[float, float, float]:
    total, good = summed()(owner.features), owner.good
    log_odds = groups.judged(total, summed()(owner.clean))[0]
    if not count:
        whole = f1(log_odds > 0, good)
        return whole, whole, whole
    judged = {row: bool(good[row]) for row in worth_reviewing(log_odds.numpy(), count)}
    others = torch.tensor([row not in judged for row in range(len(good))])
    updated = updated_log_odds(log_odds.numpy(), owner.features.clamp(LOWEST, HIGHEST).numpy(), judged=judged)
    kept = torch.from_numpy(updated >= best_limit(updated))
    kept[~others] = good[~others]
    return f1((log_odds > 0)[others], good[others]), f1(kept[others], good[others]), f1(kept, good)


def f1(kept: Tensor, good: Tensor) -> float:
    return float(2 * (kept & good).sum() / max(int(kept.sum() + good.sum()), 1))


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
