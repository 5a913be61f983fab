"""What one lying client of five does to threshold, selection and model, without and with defences.

`python benchmarks/attacks.py` trains a tiny model on an invented language (`toy.py`) and prints a table in Markdown.
`--model` and `--samples` take a real model and a file of clean samples instead.

Every client has a known share of low-quality samples. The last one lies: its answers, or the questions before it
answers them, are changed on their way. With the attack `everything`, it also owns low-quality samples only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tables import table
from toy import write_model, write_samples

from clues.collaboration.client import Client
from clues.collaboration.in_process import InProcess
from clues.collaboration.protocol import Content, Failure
from clues.collaboration.server import coordinate
from clues.errors import CluesError
from clues.io.progress import reporting
from clues.io.store import Store
from clues.lab.attacks import ATTACKS, Attack, copied_adapter
from clues.lab.corruption import corrupt_file
from clues.lab.partition import partition
from clues.settings import CorruptSettings, PartitionSettings, RunSettings, SiloFile, validated

HONEST, COPY, NONE = "honest", "copy", "none"
CLIENTS = ["a", "b", "c", "d", "liar"]
LIAR, VICTIM = CLIENTS[-1], CLIENTS[0]
DEFENCES: dict[str, dict[str, Any]] = {
    NONE: {},
    "threshold median": {"defences": {"threshold": "median"}},
    "threshold trimmed-mean": {"defences": {"threshold": "trimmed-mean"}},
    "recompute": {"defences": {"recompute": True}},
    "weight_cap 2": {"defences": {"weight_cap": 2.0}},
    "updates leave-out": {"defences": {"updates": "leave-out"}},
    "contributions": {"defences": {"contributions": True}},  # which only reports
    "strategy median": {"collaboration": {"strategy": "median"}},
    "strategy trimmed-mean": {"collaboration": {"strategy": "trimmed-mean"}},
    "strategy krum": {"collaboration": {"strategy": "krum"}},
}
_ELSEWHERE = {"merging": "strategy", "federated": "contributions"}  # defences of the other mode
_ANCHORS = ["threshold median", "threshold trimmed-mean", "recompute"]
_ADAPTERS = ["updates leave-out", "contributions", "strategy median", "strategy trimmed-mean", "strategy krum"]
AGAINST = {
    HONEST: list(DEFENCES)[1:],  # what each costs where nobody lies
    **dict.fromkeys(("inflate", "deflate", "stretch"), _ANCHORS),
    **dict.fromkeys(("scale", "flip", "everything", COPY), _ADAPTERS),
    "claim": ["weight_cap 2", *_ADAPTERS],
    "nan": [],
}

Results = dict[str, dict[str, Any]]  # by mode, attack and defence, what was measured


class Lying(InProcess):
    """Carries messages, and lets the last client lie."""

    def __init__(self, clients: Mapping[str, Client], attack: str) -> None:
        super().__init__(clients)
        self._name, self._attack = attack, ATTACKS.get(attack, Attack(attack))

    def deliver(self, kind: str, contents: Mapping[str, Content], *, seconds: float) -> Mapping[str, Content | Failure]:
        asked = {
            c: Content(*self._attack.request(*content)) if c == LIAR else content for c, content in contents.items()
        }
        answers = dict(super().deliver(kind, asked, seconds=seconds))
        answer, other = answers.get(LIAR), answers.get(VICTIM)
        if isinstance(answer, Content):
            copies = self._name == COPY and isinstance(other, Content) and other.arrays and answer.arrays
            change = copied_adapter(dict(other.arrays)) if copies else self._attack.answer  # type: ignore[union-attr]
            answers[LIAR] = Content(*change(answer.facts, answer.arrays))  # type: ignore[arg-type]
        return answers


def measured(arguments: argparse.Namespace, folder: Path, seed: int) -> Results:
    """What is in `results.json` of the folder is not measured again."""
    data, known = folder / f"data-{seed}", folder / f"results-{seed}.json"
    if not data.exists():
        samples = Path(arguments.samples) if arguments.samples else write_samples(folder / f"things-{seed}.jsonl", seed)
        partitioned(data, samples, CLIENTS, per_client=arguments.per_client, seed=seed)
        corrupt_file(CorruptSettings(seed=seed, samples=str(data / f"{LIAR}.jsonl"), share=1.0), data / "bad.jsonl")
    results: Results = json.loads(known.read_text()) if known.exists() else {}
    for mode, attack in itertools.product(arguments.modes, arguments.attacks):
        for defence in [NONE, *AGAINST[attack]]:
            name = f"{mode}, {attack}, {defence}"
            if name in results or defence.startswith(_ELSEWHERE[mode]):
                continue
            started = time.perf_counter()
            settings = _settings(arguments, data, seed=seed, mode=mode, changes=DEFENCES[defence])
            results[name] = _run(settings, folder / str(seed) / name.replace(", ", "-").replace(" ", "-"), attack)
            known.write_text(json.dumps(results, indent=1))
            print(f"{name}, seed {seed}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return results


def partitioned(data: Path, samples: Path, clients: Sequence[str], *, per_client: int, seed: int = 1) -> None:
    """Files of clients of which 40 % of the samples are bad, and public files."""
    sizes = {"validation": 12, "anchors": 10, "tests": 24, "per_client": per_client}
    partition(PartitionSettings(seed=seed, samples=str(samples), clients=[*clients], shares=[0.4], **sizes), data)


def _settings(
    arguments: argparse.Namespace, data: Path, *, seed: int, mode: str, changes: Mapping[str, Mapping[str, Any]]
) -> RunSettings:
    tiny = {"lora": {"target_modules": "all-linear"}} if not arguments.model else {}
    values: dict[str, Any] = {
        "seed": seed,
        "validation": [str(data / "validation.jsonl")],
        "anchors": [str(data / "anchors.jsonl")],
        "clients": [
            {"id": c, "data": str(data / f"{c}.jsonl"), "labels": str(data / f"{c}.labels.jsonl")} for c in CLIENTS
        ],
        "model": {"id": arguments.model or str(data.parent / "model"), "device": "cpu"},
        "training": {"epochs": arguments.epochs, "learning_rate": arguments.rate, "checkpoints": 1, "batch_size": 8},
        "scoring": {"method": "clues"},
        "collaboration": {"mode": mode, "rounds": 2},
        "merging": {"weights": "samples"},
        "evaluation": {"tests": [str(data / "test.jsonl")], "arms": ["base", "selected"]},
        "engine": {"quorum": len(CLIENTS) - 1},
        **tiny,
    }
    for name, change in changes.items():
        values[name] = {**values.get(name, {}), **change}
    return validated(RunSettings, values)


def _run(settings: RunSettings, out: Path, attack: str) -> dict[str, Any]:
    """Clients keep their finished work from run to run; nothing is kept of the coordinator's."""
    clients, data = {}, Path(settings.validation[0]).parent
    for client in settings.clients:
        bad = attack == "everything" and client.id == LIAR
        files = {"data": str(data / "bad.jsonl"), "labels": str(data / "bad.labels.jsonl")} if bad else {}
        own = SiloFile(
            **{**client.model_dump(), **files}, by_job=False, folder=str(out / client.id), model=settings.model
        )
        clients[client.id] = Client(own, out / client.id, Store(data.parent / "stores" / client.id))
    try:
        metrics = coordinate(Lying(clients, attack), settings, out=out, store=Store(out / "store"))
    except CluesError as error:
        return {"ended": str(error)}
    rules = {"anchor-quantile": {c: found["selection"] for c, found in metrics["clients"].items()}}
    rules |= {rule: metrics["variants"][f"score {rule}"] for rule in ("anchor-mean", "anchor-deviation", "ratio")}
    nll = {arm: [found[arm]["nll"] for found in metrics["evaluation"].values()] for arm in settings.evaluation.arms}
    reports = metrics["defences"]
    return {
        "threshold": metrics["threshold"]["value"],
        "F1": {rule: statistics.fmean(found[c]["f1"] for c in CLIENTS[:-1]) for rule, found in rules.items()},
        "NLL": {arm: statistics.fmean(values) for arm, values in nll.items()},
        "absent": metrics["absent"],
        "weights": metrics["merge_weights"],
        "updates": {arm: {c: r["reasons"] for c, r in by.items()} for arm, by in reports.get("updates", {}).items()},
        "anchors": {c: report["suspicious"] for c, report in reports["anchors"].items()},
        "recomputed": reports.get("recomputed", {}),
        "contributions": reports.get("contributions", {}).get("selected", {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder or a name; default: a tiny model that is trained first")
    parser.add_argument("--samples", help="a file of clean samples; default: an invented language")
    parser.add_argument("--per-client", type=int, default=24)
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--modes", nargs="+", default=["merging", "federated"])
    parser.add_argument("--attacks", nargs="+", default=list(AGAINST), choices=list(AGAINST))
    parser.add_argument("--out", type=Path, help="keep runs here; default: a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, reporting("quiet"):
        folder = arguments.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if not arguments.model and not (folder / "model").exists():
            write_model(folder / "model")
        results = [measured(arguments, folder, seed) for seed in arguments.seeds]
    _print(results, arguments.modes)


def _print(results: Sequence[Results], modes: Sequence[str]) -> None:
    """Means over seeds."""
    for mode in modes:
        rows = []
        for attack, defences in AGAINST.items():
            for defence in [NONE, *defences]:
                found = [one[name] for one in results if (name := f"{mode}, {attack}, {defence}") in one]
                if found:
                    rows.append([attack, defence, *_row(found)])
        print(f"\n{mode}\n")
        rules = ("anchor-quantile", "anchor-mean")
        table(["attack", "defence", "threshold", *(f"F1, {rule}" for rule in rules), "NLL", "what was seen"], rows)


def _row(found: Sequence[dict[str, Any]]) -> list[str]:
    if ended := [one["ended"] for one in found if "ended" in one]:
        return ["", "", "", "", ended[0]]
    numbers = [[one["threshold"] for one in found]]
    numbers += [[one["F1"][rule] for one in found] for rule in ("anchor-quantile", "anchor-mean")]
    numbers.append([one["NLL"]["selected"] for one in found])
    return [*(f"{statistics.fmean(values):.3f}" for values in numbers), _seen(found)]


def _seen(found: Sequence[dict[str, Any]]) -> str:
    """How often the liar and others were found out, in how many runs."""
    count = len(found)
    noticed = {
        "liar left out": sum(LIAR in one["absent"] for one in found),
        "anchors of liar suspicious": sum(one["anchors"].get(LIAR, False) for one in found),
        "anchors of honest suspicious": sum(any(v for c, v in one["anchors"].items() if c != LIAR) for one in found),
        "update of liar suspicious": sum(any(by.get(LIAR) for by in one["updates"].values()) for one in found),
        "update of honest suspicious": sum(
            any(r for by in one["updates"].values() for c, r in by.items() if c != LIAR) for one in found
        ),
    }
    lowest = sum(min(by, key=by.__getitem__) == LIAR for one in found if (by := one.get("contributions")))
    noticed["liar contributes least"] = lowest
    return "; ".join(f"{what} ({times} of {count})" for what, times in noticed.items() if times)


if __name__ == "__main__":
    main()
