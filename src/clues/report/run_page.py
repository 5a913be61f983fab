"""The coordinator's report: counts, anchor scores and metrics of a run. It has no text and no score of a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from clues.evaluation.figures import measure, measured_in
from clues.io.files import read_json
from clues.report.drawing import Axis, curves, interval, strip
from clues.report.pages import compared, rule_in_words, signed, write_page
from clues.selection.threshold import Threshold
from clues.silo.tables import ScoreTable

_METRICS = ("precision", "recall", "f1", "auroc")
# What the models of a run are.
_ARMS = {
    "base": "the model before training",
    "mixed": "trained on all samples",
    "selected": "trained on the kept ones",
    "oracle": "trained on the good ones by the labels",
    "ratio": "trained on each client's best share by score",
    "public": "trained on validation set and anchors alone",
}


def write_run_page(folder: Path, metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> Path:
    """Write `folder`/report.html and return its path.

    Args:
        folder: of the run; its anchors' scores and, where they are on this machine, the costs of clients are read.
        metrics: the content of metrics.json.
        settings: the settings of the run.
    """
    clients, threshold = metrics["clients"], Threshold(**metrics["threshold"])
    selections = [client["selection"] for client in clients.values()]
    values: dict[str, Any] = {
        "name": folder.resolve().name,
        "sentences": list(_sentences(metrics)),
        "rule": rule_in_words(threshold.rule, threshold.value),
        "kinds": sorted({kind for selection in selections for kind in selection.get("auroc_by_kind", {})}),
        "labelled": [key for key in _METRICS if any(key in selection for selection in selections)],
        "places": _places(folder / "server" / "anchors.parquet", threshold),
        "missing": [*_missing("absent", metrics), *_missing("fault", metrics)],
        "with_paper": any(name.startswith("paper ") for name in metrics["variants"]),
        "rules": list(_rules(metrics, threshold.rule)),
        "notes": _notes(clients),
        "models": list(_models(metrics["evaluation"])),
        "arms": {arm: words for arm, words in _ARMS.items() if any(arm in m for m in metrics["evaluation"].values())},
        "differences": list(_differences(metrics["comparisons"])),
        "compared": compared(metrics["comparisons"]),
        "curves": [
            {
                "title": domain,
                "arms": list(series),
                "picture": curves(f"{domain}, by round", series, name="round", measure="NLL"),
            }
            for domain, series in metrics.get("rounds", {}).items()
        ],
        "weights": metrics.get("merge_weights", {}),
        "costs": _costs(folder / "clients", list(clients)),
        "settings": settings,
    }
    write_page(folder / "report.html", "run.html", clients=clients, **values)
    return folder / "report.html"


def _sentences(metrics: Mapping[str, Any]) -> Iterator[str]:
    clients = metrics["clients"].values()
    total, kept = sum(c["samples"] for c in clients), sum(c["selection"]["kept"] for c in clients)
    share = f" ({kept / total:.0%})" if total else ""
    yield f"{len(clients)} client{'s keep' if len(clients) != 1 else ' keeps'} {kept:,} of {total:,} samples{share}."
    for row in metrics["comparisons"]:
        if row["measure"] == "nll" and row["other"] == "mixed":
            yield f"Training on the selected samples instead of all, on {row['domain']}: {row['verdict']}."


def _notes(clients: Mapping[str, Any]) -> dict[str, list[str]]:
    """By note, the clients that have it."""
    notes: dict[str, list[str]] = {}
    for name, client in clients.items():
        if client["selection"].get("note"):
            notes.setdefault(client["selection"]["note"], []).append(name)
    return notes


def _places(anchors: Path, threshold: Threshold) -> dict[str, Markup]:
    """By client, where its anchors' scores are, all along one axis."""
    if not anchors.is_file():
        return {}
    table, scores = ScoreTable(anchors), dict[str, list[float]]()
    for client, score in zip(table.texts("client").to_pylist(), table.score.tolist(), strict=True):
        scores.setdefault(client, []).append(score)
    limits = {client: threshold.limit(client) for client in scores}
    known = [limit for limit in limits.values() if limit is not None]
    axis = Axis.over([*known, *(score for of_client in scores.values() for score in of_client)])
    said = "{} anchors' scores, from {:.3g} to {:.3g}"
    return {
        client: strip(said.format(len(values), min(values), max(values)), values, axis, limits[client])
        for client, values in scores.items()
    }


def _missing(kind: str, metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Clients that were left out, and faults: who, what, and the reason."""
    for who, why in metrics.get("absent" if kind == "absent" else "faults", {}).items():
        for each in why if isinstance(why, list) else [why]:
            facts = each if isinstance(each, Mapping) else {"reason": each}
            phase = f"{kind} since {facts['phase']}" if "phase" in facts else kind
            yield who, phase, str(facts.get("reason", ""))


def _rules(metrics: Mapping[str, Any], chosen: str) -> Iterator[dict[str, Any]]:
    """What each rule keeps, the one of the run first."""
    of_run = {name: client["selection"] for name, client in metrics["clients"].items()}
    total = sum(client["samples"] for client in metrics["clients"].values())
    for name, by_client in {f"this run: {chosen}": of_run, **metrics["variants"]}.items():
        kept = sum(verdict["kept"] for verdict in by_client.values())
        known = [verdict["f1"] for verdict in by_client.values() if verdict.get("f1") is not None]
        f1 = sum(known) / len(known) if known else None
        yield {"name": name, "kept": kept, "share": kept / max(total, 1), "by_client": by_client, "f1": f1}


def _models(evaluation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A table for each measure: domains and arms."""
    arms = list(dict.fromkeys(arm for figures in evaluation.values() for arm in figures))
    for key in measured_in(evaluation):
        rows = {
            domain: [figures.get(arm, {}).get(key) for arm in arms]
            for domain, figures in evaluation.items()
            if any(key in of_arm for of_arm in figures.values())
        }
        if rows:
            yield {"title": measure(key).heading, "arms": arms, "rows": rows}


def _differences(comparisons: Sequence[Mapping[str, Any]]) -> Iterator[Markup]:
    """The interval of each comparison, drawn along one axis for each measure."""
    ranges: dict[str, list[float]] = {}
    for row in comparisons:
        ranges.setdefault(row["measure"], [0.0]).extend((row["low"] or 0.0, row["high"] or 0.0))
    for row in comparisons:
        if row["difference"] is None:  # no verdict of a judge could be read
            yield Markup("–")
            continue
        said = f"{signed(row['difference'])}, from {signed(row['low'])} to {signed(row['high'])}"
        yield interval(said, row["low"], row["difference"], row["high"], Axis.over(ranges[row["measure"]]))


def _costs(folder: Path, clients: Sequence[str]) -> dict[str, Any]:
    files = {client: folder / client / "costs.json" for client in clients}
    return {client: read_json(file) for client, file in files.items() if file.is_file()}
