"""kronfluence with strategy identity: no factors, the aggregated query gradient against every sample's gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from kronfluence.utils.dataset import DataLoaderKwargs
from setting import Data, frozen
from torch import Tensor

from clues.data.batches import pad
from clues.data.tokens import Tokens
from clues.models.adapters import lora_modules
from peers.losses import Batch


class _Response(Task):
    def __init__(self, loss: Callable[[Any, Batch], Tensor], modules: list[str]) -> None:
        self.loss, self.modules = loss, modules

    def compute_train_loss(self, batch: Batch, model: Any, sample: bool = False) -> Tensor:
        return self.loss(model, batch)

    def compute_measurement(self, batch: Batch, model: Any) -> Tensor:
        return self.loss(model, batch)

    def get_influence_tracked_modules(self) -> list[str]:
        return self.modules


def _collate(samples: Sequence[Tokens]) -> Batch:
    batch = pad(samples)
    return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}


@contextmanager
def scoring(data: Data, folder: Path, loss: Callable[[Any, Batch], Tensor]) -> Iterator[Callable[[], Tensor]]:
    with frozen(data) as model:
        modules = [f"{m.name}.{part}.default" for m in lora_modules(model) for part in ("lora_A", "lora_B")]
        task = _Response(loss, modules)
        analyzer = Analyzer(
            "clues", prepare_model(model, task), task, cpu=True, disable_tqdm=True, output_dir=str(folder)
        )
        analyzer.set_dataloader_kwargs(DataLoaderKwargs(collate_fn=_collate))
        analyzer.fit_all_factors(
            "none",
            data.samples,
            per_device_batch_size=data.batch_size,
            factor_args=FactorArguments(strategy="identity"),
            overwrite_output_dir=True,
        )

        def run() -> Tensor:
            analyzer.compute_pairwise_scores(
                "scores",
                "none",
                query_dataset=data.validation,
                train_dataset=data.samples,
                per_device_query_batch_size=data.batch_size,
                per_device_train_batch_size=data.batch_size,
                score_args=ScoreArguments(aggregate_query_gradients=True),
                overwrite_output_dir=True,
            )
            found = analyzer.load_pairwise_scores("scores")["all_modules"]
            return torch.as_tensor(found).reshape(-1, 1) / len(data.validation)  # it sums the queries

        yield run
