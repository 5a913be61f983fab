"""Model cards: what an adapter was trained on in numbers, how it was selected, and what came of it.

A card holds no private text and no path of any machine, so it can be published with the adapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, PackageLoader

from clues.evaluation.figures import measure, measured_in
from clues.io.files import read_json, replace_whole
from clues.methods.registry import method
from clues.models.embedded import NAME, PUBLISHED

_PAPER = "[CLUES](https://arxiv.org/abs/2507.03004)"
_TABLES = ("lora", "data", "training", "scoring", "selection", "merging", "collaboration", "privacy", "defences")
_ARMS = {
    "selected": "the samples that the clients selected",
    "mixed": "all samples of the clients, without selection: a baseline",
    "oracle": "exactly the good samples of the clients, which are known in a benchmark only",
    "ratio": "the best-scored share of each client's samples",
    "public": "the validation set and the anchors alone: a control",
}
_TEMPLATES = Environment(loader=PackageLoader("clues.report", "templates"), trim_blocks=True)
_TEMPLATES.filters["figure"] = lambda value: "–" if value is None else f"{value:.3f}"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a card says besides settings, versions and base model, each part of which may be missing.

    `clients`: by client id, samples, and those trained on. `evaluation`: a row per domain and measure.
    """

    title: str
    summary: str
    clients: list[dict[str, Any]] = field(default_factory=list)
    weights: Mapping[str, float] = field(default_factory=dict)
    selection: str = ""
    evaluation: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)


def write_cards(run: Path, metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write a card beside every adapter of a run: server/global and server/adapters/*.

    Args:
        metrics: the content of metrics.json. settings: those of the run.
    """
    folders = {"selected": run / "server" / "global"}
    folders |= {folder.name: folder for folder in sorted((run / "server" / "adapters").glob("*"))}
    for arm, folder in folders.items():
        if (folder / "adapter_config.json").is_file():
            write_card(folder, _of_arm(arm, metrics, settings), settings, versions=read_json(run / "versions.json"))


def write_card(folder: Path, card: Card, settings: Mapping[str, Any], *, versions: Mapping[str, str]) -> None:
    """Write `folder`/README.md, in the form of the Hugging Face Hub.

    Args:
        folder: that of an adapter. settings: those of the command, of which the card leaves out files.
    """
    published = _published(settings["model"]["id"])
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type="held-out",
            dataset_name=row["domain"],
            metric_type=row["measure"],
            metric_name=row["title"],
            metric_value=row["value"],
        )
        for row in card.evaluation
    ]
    data = ModelCardData(
        base_model=published,
        library_name="peft",
        pipeline_tag="text-generation",
        tags=["clues", "lora", "data-selection"],
        model_name=card.title,
        eval_results=results or None,
    )
    text = _TEMPLATES.get_template("card.md").render(
        **vars(card),
        card_data=data.to_yaml(),
        base=published or "a model that is not published under a name of the Hub",
        load=published or "FOLDER-OF-THE-BASE-MODEL",
        digest=read_json(folder / "base_model.json")["sha256"],
        settings=_shown(settings),
        versions=versions,
    )
    replace_whole(folder / "README.md", lambda part: part.write_text(text, encoding="utf-8"))


def _of_arm(arm: str, metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> Card:
    scoring = method(settings["scoring"]["method"])
    summary = f"A LoRA adapter that {len(metrics['clients'])} clients trained together by {_PAPER}, on {_ARMS[arm]}."
    used = {"selected": lambda client: client["selection"]["kept"], "mixed": lambda client: client["samples"]}
    clients = [
        {"id": name, "samples": client["samples"], "used": used[arm](client) if arm in used else "–"}
        for name, client in metrics["clients"].items()
    ]
    evaluation = [
        {
            "domain": domain,
            "measure": key,
            "title": measure(key).heading,
            "value": by_arm[arm][key],
            "base": _base(by_arm, key),
        }
        for domain, by_arm in metrics["evaluation"].items()
        for key in measured_in(metrics["evaluation"])
        if by_arm.get(arm, {}).get(key) is not None
    ]
    compared = [row for row in metrics["comparisons"] if arm == "selected"]
    return Card(
        title=f"clues-{arm}",
        summary=summary,
        clients=clients,
        weights=metrics["merge_weights"].get(arm, {}),
        selection=_selection(metrics["threshold"], settings["scoring"]["method"], f"{scoring.title} ({scoring.source})")
        if arm == "selected"
        else "",
        evaluation=evaluation,
        verdicts=[f"{row['domain']}, {row['measure']}: {row['verdict']}" for row in compared],
    )


def _selection(threshold: Mapping[str, Any], name: str, title: str) -> str:
    """Method, rule and threshold in words."""
    if threshold["value"] is None:
        limit = "each client keeps its best share"
    else:
        limit = f"a client keeps what scores at least {threshold['value']:.6g}"
        limit += " times the mean of its anchors" if threshold["scale"] else ""
    return f"Scores by method `{name}`: {title}. Rule `{threshold['rule']}`: {limit}."


def _base(by_arm: Mapping[str, Any], measure: str) -> float | None:
    value = by_arm.get("base", {}).get(measure)
    return None if value is None else float(value)


def _published(model: str) -> str | None:
    """The name of a base model on the Hub; None for a folder, whose path is nobody's business."""
    if model == NAME:
        return PUBLISHED
    return None if Path(model).exists() or model.count("/") > 1 or model[:1] in "/.~" else model


def _shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by key that are not files."""
    values = {
        f"{table}.{key}": value
        for table in _TABLES
        if table in settings
        for key, value in settings[table].items()
        if value not in (None, [], {})
    }
    return {key: value for key, value in values.items() if not (isinstance(value, str) and {"/", "\\"} & {*value})}
