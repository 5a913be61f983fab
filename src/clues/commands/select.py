"""`clues select`: the samples of a scored folder that are worth training on. Nothing here needs a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.data.samples import Private, read_public
from clues.data.telling import told_before
from clues.io.files import read_json, write_json
from clues.methods.registry import with_rule
from clues.report.owner_page import OwnerData, write_owner_page
from clues.selection.metrics import read_labels, selection_metrics
from clues.settings import ScoreSettings, SelectionSettings, validated
from clues.silo.folder import scored_samples
from clues.silo.marks import DECISIONS, read_decisions
from clues.silo.review import reviewed
from clues.silo.scored import ALONE, Scored, select_by_anchors
from clues.silo.selection import Selection, counts, write_selection


def select(
    folder: Path, settings: SelectionSettings, *, labels: str | None = None, decisions: str | None = None
) -> dict[str, Any]:
    """Apply a threshold to a folder that `score` wrote; write kept.jsonl, dropped.jsonl, selection.json, report.html.

    Args:
        labels: a file of true labels, for metrics. decisions: a file of samples that their owner judged; by default,
            decisions.jsonl in the folder, if it exists.

    Returns:
        What selection.json holds: threshold, rule, kept, dropped, how many samples each check found, and metrics where
        labels are given.
    """
    scored_by, private = scored_samples(folder)
    kinds, file = None, Path(decisions or folder / DECISIONS)
    if labels:
        by_id = read_labels(labels, [sample.id for sample in private.samples])
        kinds = [by_id[sample.id] for sample in private.samples]
    good_share = sum(not kind for kind in kinds) / len(kinds) if kinds else None
    settings = with_rule(settings, scored_by.scoring)
    selection = select_by_anchors(Scored(folder), settings, good_share=good_share)
    if decisions or file.is_file():
        selection = reviewed(selection, read_decisions(file, selection.table.ids))
    threshold = selection.threshold
    write_selection(private, selection, folder)
    result: dict[str, Any] = {
        "threshold": threshold.share[ALONE] if threshold.value is None else threshold.limit(ALONE),
        "rule": threshold.rule,
        **counts(selection),
        "checks": selection.checked.counts(),
        "unusable": len(private.unusable),
    }
    if kinds is not None:
        result |= selection_metrics(selection.scores.tolist(), selection.kept, kinds)
    reproduced = {"settings": settings.model_dump(), "good_share": good_share, "decisions": decisions}
    write_json(folder / "selection.json", {**result, **reproduced})
    _write_page(folder, scored_by, private, selection)
    return result


def report_selection(folder: Path) -> Path:
    """Write the page of a folder that `select` wrote, by the same settings and the owner's present decisions."""
    scored_by, private = scored_samples(folder)
    made = read_json(folder / "selection.json")
    settings = validated(SelectionSettings, made["settings"])
    selection = select_by_anchors(Scored(folder), settings, good_share=made["good_share"])
    file = Path(made["decisions"] or folder / DECISIONS)
    if file.is_file():
        selection = reviewed(selection, read_decisions(file, selection.table.ids))
    return _write_page(folder, scored_by, private, selection)


@told_before()
def _write_page(folder: Path, scored_by: ScoreSettings, private: Private, selection: Selection) -> Path:
    public = read_public(validation=scored_by.validation, anchors=scored_by.anchors, data=scored_by.data)
    name, anchors = Path(scored_by.samples).name, Scored(folder).anchors
    data = OwnerData(name=name, private=private, public=public, selection=selection, anchors=anchors)
    return write_owner_page(folder, data)
