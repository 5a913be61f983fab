"""What one data owner's machine does: train a trajectory, score, select, train on what is kept.

`clues score` and `clues select` are this without any collaboration. Everything here stays in `folder`.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clues.data.prompts import Tokens
from clues.data.samples import Private
from clues.errors import OutputError
from clues.io.files import Phase, replace_whole, value_digest, write_json, write_jsonl, write_parquet
from clues.io.processes import gathered, once, wait
from clues.methods.clues import Columns
from clues.methods.default.auto import SIGNALS
from clues.methods.registry import Data, Trained, method
from clues.models.adapters import AdapterState, lora_facts
from clues.models.base import Base
from clues.models.trajectory import Checkpoint
from clues.passes.costs import Cost, measured
from clues.passes.numbers import check_numbers
from clues.selection.threshold import Threshold
from clues.settings import LoraSettings, ScoringSettings, TrainingSettings
from clues.training.fit import fit, fit_trajectory
from clues.training.in_run import InRunScorer
from clues.version import __version__


@dataclass(frozen=True)
class ScoreTable:
    """A file of scores: ids, domains and, by column, one number a sample."""

    ids: list[str]
    columns: dict[str, Tensor]

    @property
    def scores(self) -> Tensor:
        return self.columns["score"]


def score_silo(
    base: Base,
    checkpoints: Sequence[Checkpoint],
    lora_config: Any,
    samples: Sequence[Tokens],
    validation: Sequence[Tokens],
    anchors: Sequence[Tokens],
    settings: ScoringSettings,
    folder: Path,
) -> tuple[ScoreTable, ScoreTable]:
    """Score private samples and anchors in one pass; write scores.parquet, anchors.parquet, and costs.json.

    Called in every process of a silo, each scores a share of the batches.

    Returns:
        (table of the samples, table of the anchors). Done already with the same inputs, they are read.
    """
    inputs = {
        "version": __version__,
        "base": base.digest,
        "lora": lora_facts(lora_config),
        "samples": [samples, anchors, validation],
        "checkpoints": list(checkpoints),
        "settings": settings.model_dump(exclude={"batch_size", "batch_tokens"}),
    }
    phase = Phase(folder, "scores", inputs)
    done = phase.done
    wait()  # all have looked before one of them finishes it
    if not done:
        apart = {"method", "similarity", "batch_size", "batch_tokens", "keep_passes"}
        same = inputs | {"settings": settings.model_dump(exclude=apart)}
        shards = folder / ".shards" / value_digest(same)[:16]
        earlier: list[Cost] = []
        remember = functools.partial(_kept, shards, [t.id for t in [*samples, *anchors]], base, earlier)
        trained, data = Trained(base, checkpoints, lora_config), Data(samples, anchors, validation)
        with measured(base) as cost:
            together = method(settings.method).score(trained, data, settings, remember)
        check_numbers(together, [t.id for t in [*samples, *anchors]])
        costs = gathered(sum(earlier, cost))
        split = len(samples)

        def write() -> None:
            _write_table(folder / "scores.parquet", samples, {n: v[:split] for n, v in together.items()})
            _write_table(folder / "anchors.parquet", anchors, {n: v[split:] for n, v in together.items()})
            write_json(folder / "costs.json", asdict(sum(costs, Cost())))
            phase.finish()
            if not settings.keep_passes:
                shutil.rmtree(folder / ".shards", ignore_errors=True)

        once(write)
    return read_table(folder / "scores.parquet"), read_table(folder / "anchors.parquet")


def fit_silo(
    base: Base,
    lora: LoraSettings,
    tokens: Sequence[Tokens],
    settings: TrainingSettings,
    seed: int,
    folder: Path,
    initial: Mapping[str, Tensor] | None = None,
    proximal_mu: float = 0.0,
    what: str = "training",
    in_order: bool = False,
) -> AdapterState:
    """`fit`, remembered on the client's disk: the same work is never done twice."""
    from safetensors.torch import load_file, save_file

    key = value_digest([__version__, tokens, lora, settings, seed, initial, proximal_mu, in_order, base.digest])
    file = folder / "adapters" / f"{key[:16]}.safetensors"
    if not file.is_file():
        state = fit(
            base,
            lora,
            tokens,
            settings,
            seed,
            initial=initial,
            proximal_mu=proximal_mu,
            what=what,
            in_order=in_order,
        )
        replace_whole(file, lambda part: save_file(state, str(part)))
    return dict(load_file(str(file)))


def write_selection(
    private: Private, table: ScoreTable, threshold: Threshold, client: str, folder: Path
) -> tuple[list[bool], list[str]]:
    """Write kept.jsonl and dropped.jsonl: the original records untouched, plus score and reason.

    Records that cannot be used stand at the end of dropped.jsonl without a score.

    Returns:
        (which samples are kept, the reason of each).
    """
    kept: list[bool] = threshold.keep(table.scores, client).tolist()
    reasons = _reasons(table, kept, threshold, client)
    rows: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for sample, value, keep, reason in zip(private.samples, table.scores.tolist(), kept, reasons, strict=True):
        rows[keep].append({**sample.record, "clues": {"id": sample.id, "score": value, "reason": reason}})
    for bad in private.unusable:
        reason = f"cannot be used: {Path(bad.place).name}: {bad.reason}"
        rows[False].append({**bad.record, "clues": {"id": bad.id, "score": None, "reason": reason}})
    write_jsonl(folder / "kept.jsonl", rows[True])
    write_jsonl(folder / "dropped.jsonl", rows[False])
    return kept, reasons


def read_table(path: Path) -> ScoreTable:
    """Raises OutputError where the table is missing or broken."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path).to_pydict()
    except (OSError, pyarrow.ArrowException) as error:
        raise OutputError(f"{path}: cannot be read ({type(error).__name__}); remove it and score again.") from None
    columns = {name: torch.tensor(values, dtype=torch.float64) for name, values in table.items() if name != "id"}
    return ScoreTable(table["id"], columns)


def score_in_run(
    base: Base,
    lora: LoraSettings,
    samples: Sequence[Tokens],
    validation: Sequence[Tokens],
    anchors: Sequence[Tokens],
    training: TrainingSettings,
    settings: ScoringSettings,
    seed: int,
    folder: Path,
) -> tuple[ScoreTable, ScoreTable]:
    """Train the trajectory and score in the same pass; what `score_silo` writes and returns."""
    phase = Phase(folder, "scores", [samples, anchors, validation, lora, training, settings, seed, base.digest])
    if not phase.done:
        scorers: list[InRunScorer] = []

        def watch(trainer: Any) -> InRunScorer:
            scorers.append(InRunScorer(trainer, validation, anchors, settings, folder / ".in-run"))
            return scorers[0]

        fit_trajectory(base, lora, samples, training, seed, folder / "trajectory", watch)
        own, public = scorers[0].columns()
        check_numbers(own, [t.id for t in samples])
        _write_table(folder / "scores.parquet", samples, own)
        _write_table(folder / "anchors.parquet", anchors, public)
        phase.finish()
        shutil.rmtree(folder / ".in-run", ignore_errors=True)
    return read_table(folder / "scores.parquet"), read_table(folder / "anchors.parquet")


def _kept(
    shards: Path, ids: Sequence[str], base: Base, earlier: list[Cost], name: str, compute: Callable[[], Columns]
) -> Columns:
    """The shard of that name, or what is computed and then kept: scalars of a batch with its ids, never a gradient.

    What a kept shard had cost is added to `earlier`, so that scoring costs the same whoever paid for it.
    """
    import pyarrow.parquet

    file = shards / f"{name}.parquet"
    if not file.is_file():
        with measured(base) as cost:
            columns = compute()
        names = [ids[row] if row < len(ids) else "public" for row in columns["row"].tolist()]
        told = {"cost": json.dumps(asdict(cost))}
        write_parquet(file, {"id": names, **{n: values.numpy() for n, values in columns.items()}}, told)
        return columns
    table = pyarrow.parquet.read_table(file)
    earlier.append(Cost(**json.loads((table.schema.metadata or {}).get(b"cost", b"{}"))))
    return {n: torch.tensor(table[n].to_numpy()) for n in table.column_names if n != "id"}


def _write_table(path: Path, tokens: Sequence[Tokens], columns: Mapping[str, Tensor]) -> None:
    write_parquet(path, {"id": [t.id for t in tokens], **{n: v.double().numpy() for n, v in columns.items()}})


def _reasons(table: ScoreTable, kept: Sequence[bool], threshold: Threshold, client: str) -> list[str]:
    """Of every sample, why it is kept or dropped: the rule, and of a dropped one the signal that is least like good."""
    limit = threshold.limit(client)
    # Together they are those of `auto`; a column `loss` alone is the loss itself, in nats.
    signals = SIGNALS if set(SIGNALS) <= table.columns.keys() else ()
    found = []
    for row, keep in enumerate(kept):
        if limit is None:
            reason = f"{'among' if keep else 'not among'} the best share ({threshold.rule})"
        else:
            reason = f"score {'≥' if keep else '<'} {limit:.6g} ({threshold.rule})"
        if signals and not keep:
            lowest = min(signals, key=lambda name: float(table.columns[name][row]))
            reason += f"; lowest: {lowest}, {float(table.columns[lowest][row]):+.1f} standard deviations of clean ones"
        found.append(reason)
    return found
