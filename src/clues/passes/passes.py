"""A pass over samples: columns computed from every batch are stored in shards of thousands of samples.

An interrupted pass resumes after the last complete shard, and other methods that need the same pass read it. Gradients
are never stored.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clues.data.batches import Batch, Plan, pad_rows
from clues.data.tokens import Joined, Tokens, TokenTable, as_table
from clues.io.digests import value_digest
from clues.io.processes import gathered, is_main_process, process_count, spread
from clues.io.progress import Task, task
from clues.io.store import Codec, Store
from clues.models.base import Base
from clues.passes.costs import Cost, measured
from clues.passes.memory import in_halves
from clues.passes.numbers import check_numbers

Columns = dict[str, Tensor]  # by name, samples × …
SAMPLES, SECONDS = 8192, 60.0  # a shard is complete when it holds this many samples, or took this long

PASSES = "passes"  # the kind of shards in the store


@dataclass(frozen=True)
class _Shard:
    """Columns of the samples in `row`, and their cost; `batches`: how many of the plan's batches it holds."""

    columns: Columns
    batches: int
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Makes passes, or reads them from the store.

    `earlier`: the cost of the shards that were read, so that the reported cost of scoring does not depend on the store.
    """

    base: Base
    store: Store
    batch_size: int
    batch_tokens: int
    earlier: list[Cost] = field(default_factory=list)

    def over(
        self, samples: Sequence[Tokens], compute: Callable[[Batch], Columns], *, inputs: Any, what: str
    ) -> Columns:
        """The columns that `compute` returns for every batch, on the CPU and in float32, in the order of the samples.

        Args:
            compute: batch → by name, batch × …
            inputs: everything besides the samples that the columns depend on.
            what: names the pass in the progress display.

        Raises:
            ScoringError: a computed value is not finite; names the sample's id. Nothing of that shard is stored.
        """
        table = as_table(samples)
        plan = Plan(table, batch_size=self.batch_size, batch_tokens=self.batch_tokens)
        key = value_digest([inputs, self.base.digest, table.digest, self.batch_size, self.batch_tokens])
        result: Columns = {}
        with task(what, len(plan)) as progress:
            for shard in self._shards(table, plan, key=key, compute=compute, progress=progress):
                rows = shard.columns.pop("row")
                for name, values in shard.columns.items():
                    result.setdefault(name, values.new_zeros(len(table), *values.shape[1:]))[rows] = values
        return result

    def _shards(
        self, table: TokenTable | Joined, plan: Plan, *, key: str, compute: Callable[[Batch], Columns], progress: Task
    ) -> Iterator[_Shard]:
        def batch_columns(number: int) -> Columns:
            rows = plan[number]
            parts = in_halves(compute, pad_rows(table, rows))
            columns = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
            check_numbers(columns, lambda place: table.id(rows[place]))
            progress.advance(min(len(plan), progress.done + process_count()))
            return {"row": torch.tensor(rows), **columns}

        def shard(start: int) -> _Shard:
            computed.add(start)
            with measured(self.base) as cost:
                parts = spread(_block(plan, start), batch_columns, seconds=SECONDS)
            columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
            return _Shard(columns, len(parts), sum(gathered(cost), Cost()))

        start, computed = 0, set[int]()
        while start < len(plan):
            stored = self.store.get(PASSES, [key, start], compute=functools.partial(shard, start), codec=_SHARD)
            if start not in computed and is_main_process():
                self.earlier.append(stored.cost)
            start += stored.batches
            progress.advance(start)
            yield stored


def _block(plan: Plan, start: int) -> range:
    """The numbers of the batches that a shard starting at `start` holds at most."""
    stop, samples = start, 0
    while stop < len(plan) and samples < SAMPLES:
        samples += len(plan[stop])
        stop += 1
    return range(start, stop)


def _write(path: Path, shard: _Shard) -> None:
    from safetensors.torch import save_file

    facts = {"batches": str(shard.batches), "cost": json.dumps(asdict(shard.cost))}
    save_file({name: values.contiguous() for name, values in shard.columns.items()}, str(path), metadata=facts)


def _read(path: Path) -> _Shard:
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as opened:
        facts = opened.metadata()
        columns = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    return _Shard(columns, int(facts["batches"]), Cost(**json.loads(facts["cost"])))


_SHARD = Codec(".safetensors", _write, _read)
