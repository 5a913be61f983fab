"""A pass over samples: what is computed of every batch is kept in shards of thousands of samples, never a gradient.

A pass that is cut off goes on behind the last whole shard. Other methods that need the same pass read it.
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

from clues.data.batches import Batch, Plan, pad
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
SAMPLES, SECONDS = 8192, 60.0  # a shard is whole when it holds so many samples, or took so long

PASSES = "passes"  # their kind in the store


@dataclass(frozen=True)
class _Shard:
    """Columns of the samples `row`, and what they cost; `batches`: how many of the plan it holds."""

    columns: Columns
    batches: int
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Makes passes, or finds them in the store.

    `earlier`: what the shards cost that were found, so that scoring costs the same whoever paid for it.
    """

    base: Base
    store: Store
    batch_size: int
    batch_tokens: int
    earlier: list[Cost] = field(default_factory=list)

    def over(
        self, samples: Sequence[Tokens], compute: Callable[[Batch], Columns], *, inputs: Any, what: str
    ) -> Columns:
        """The columns that `compute` returns of every batch, on the CPU and in float32, in the order of the samples.

        Args:
            compute: batch → by name, batch × …
            inputs: everything beside the samples that the columns depend on.
            what: names the pass for the person who watches.

        Raises:
            ScoringError: what was computed of a sample is no number; names its id. Nothing of that shard is kept.
        """
        table = as_table(samples)
        plan = Plan(table, batch_size=self.batch_size, batch_tokens=self.batch_tokens)
        key = value_digest([inputs, self.base.digest, table.digest, self.batch_size, self.batch_tokens])
        result: Columns = {}
        with task(what, len(plan)) as progress:
            for shard in self._shards(table, plan, key, compute, progress):
                rows = shard.columns.pop("row")
                for name, values in shard.columns.items():
                    result.setdefault(name, values.new_zeros(len(table), *values.shape[1:]))[rows] = values
        return result

    def _shards(
        self, table: TokenTable | Joined, plan: Plan, key: str, compute: Callable[[Batch], Columns], progress: Task
    ) -> Iterator[_Shard]:
        def one(number: int) -> Columns:
            rows = plan[number]
            parts = in_halves(compute, pad([table[row] for row in rows], rows))
            columns = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
            check_numbers(columns, lambda place: table.id(rows[place]))
            progress.advance(min(len(plan), progress.done + process_count()))
            return {"row": torch.tensor(rows), **columns}

        def shard(start: int) -> _Shard:
            made.add(start)
            with measured(self.base) as cost:
                found = spread(_block(plan, start), one, SECONDS)
            columns = {name: torch.cat([each[name] for each in found]) for name in found[0]}
            return _Shard(columns, len(found), sum(gathered(cost), Cost()))

        start, made = 0, set[int]()
        while start < len(plan):
            whole = self.store.get(PASSES, [key, start], compute=functools.partial(shard, start), codec=_SHARD)
            if start not in made and is_main_process():
                self.earlier.append(whole.cost)
            start += whole.batches
            progress.advance(start)
            yield whole


def _block(plan: Plan, start: int) -> range:
    """The numbers of the batches that a shard which begins at `start` holds at most."""
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
