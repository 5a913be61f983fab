"""dattri-llm's TracIn at one checkpoint, on the fly. It scores against every query; their mean is taken at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dattri_llm import AttributionArguments, AttributionTask, HookManagerConfig, TracInAttributor
from setting import Data, frozen
from torch import Tensor
from torch.utils.data import Dataset

from clues.data.batches import pad
from clues.data.tokens import Tokens
from peers.losses import Batch


class _Rows(Dataset):  # type: ignore[type-arg]
    """Padded to the longest sample: the library stacks rows as they are."""

    def __init__(self, samples: Sequence[Tokens]) -> None:
        self.batch = pad(samples)

    def __len__(self) -> int:
        return len(self.batch.rows)

    def __getitem__(self, row: int) -> Batch:
        batch = self.batch
        return {
            "input_ids": batch.input_ids[row],
            "attention_mask": batch.attention_mask[row],
            "labels": batch.labels[row],
        }


@contextmanager
def scoring(data: Data, folder: Path, loss: Callable[[Any, Batch], Tensor]) -> Iterator[Callable[[], Tensor]]:
    with frozen(data) as model:
        for name, parameter in model.named_parameters():  # it hooks only what asks for a gradient
            parameter.requires_grad_("lora_" in name)
        arguments = AttributionArguments(
            output_dir=str(folder),
            per_device_train_batch_size=data.batch_size,
            per_device_eval_batch_size=data.batch_size,
            use_cpu=True,
        )
        attributor = TracInAttributor(arguments, task=AttributionTask(loss, model))
        samples, validation = _Rows(data.samples), _Rows(data.validation)
        hooks = HookManagerConfig(linear_io=[r".*\.lora_[AB]\.default"])

        def run() -> Tensor:
            score = attributor.attribute(samples, validation, hook_config=hooks)
            _, matrix = score.agnostic_matrix()
            return matrix.mean(1, keepdim=True)

        yield run
