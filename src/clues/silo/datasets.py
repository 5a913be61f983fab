"""Selecting rows of a `datasets.Dataset`, before a training or from within a Trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback

from clues.errors import ConfigError
from clues.io.files import write_jsonl
from clues.silo.selection import Selection
from clues.silo.silo import Silo

Records = Sequence[Mapping[str, Any]]  # or a data set: it is one, too


def select_dataset(
    dataset: Any, *, model: Any, tokenizer: Any, validation: Records, anchors: Records, **settings: Any
) -> Any:
    """The rows of a data set that are worth training on, in their order, as a `datasets.Dataset`.

    Args:
        dataset, validation, anchors: data sets or lists of records. model, tokenizer, settings: as in
            `Silo.from_records`.

    Raises:
        ConfigError: it is no data set of rows that can be counted; or invalid settings.
        DataError: unusable records, all of them at once.
    """
    _check_rows(dataset)
    silo = Silo.from_records(model, tokenizer, dataset, validation=validation, anchors=anchors, **settings)
    return dataset.select(_kept(silo.select()))


class SelectCallback(TrainerCallback):
    """Lets a Trainer train on the rows that are worth it: `trainer.add_callback(SelectCallback(trainer, dataset, …))`.

    The selection is made at once, with the trainer's model and tokenizer, as a Trainer asks for its rows before it
    calls any callback. When the training begins, the numbers of kept and dropped rows go to the trainer's logs, and
    `clues.jsonl` in its output folder says of each row what its score was, whether it was kept, and why.

    Args:
        dataset: the rows that the trainer was made with, before it tokenized them.
        validation, anchors, settings: as in `select_dataset`.

    Attributes:
        selection: what was selected, a `Selection`.

    Raises:
        ConfigError: the trainer's rows are not those of `dataset`, or its model has an adapter already.
        DataError: unusable records, all of them at once.
    """

    def __init__(
        self, trainer: Trainer, dataset: Any, *, validation: Records, anchors: Records, **settings: Any
    ) -> None:
        _check_rows(dataset)
        if len(trainer.train_dataset) != len(dataset):
            raise ConfigError(
                f"SelectCallback: the trainer has {len(trainer.train_dataset)} rows and the data set {len(dataset)}; "
                "turn off packing, or select before the trainer is made, by clues.select(dataset, …)."
            )
        if hasattr(trainer.model, "peft_config"):
            raise ConfigError(
                "SelectCallback: the trainer's model has an adapter already; select before the trainer is made, "
                "by clues.select(dataset, model=…, tokenizer=…, validation=…, anchors=…)."
            )
        public = {"validation": validation, "anchors": anchors}
        silo = Silo.from_records(trainer.model, trainer.processing_class, dataset, **public, **settings)
        self._trainer, self._silo, self.selection = trainer, silo, silo.select()
        trainer.train_dataset = trainer.train_dataset.select(_kept(self.selection))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        kept = sum(self.selection.kept)
        self._trainer.log({"clues_kept": kept, "clues_dropped": len(self.selection.kept) - kept})
        verdicts = zip(self._silo.job.private.ids, self.selection.scores.tolist(), self.selection.kept, strict=True)
        write_jsonl(
            Path(args.output_dir) / "clues.jsonl",
            (
                {"id": identity, "score": score, "kept": keep, "reason": self.selection.reason(row)}
                for row, (identity, score, keep) in enumerate(verdicts)
            ),
        )


def _check_rows(dataset: Any) -> None:
    """Raises ConfigError if it cannot be selected from, such as a stream or a dictionary of splits."""
    if not hasattr(dataset, "select") or not hasattr(dataset, "__len__") or isinstance(dataset, Mapping):
        raise ConfigError(
            f"dataset: a {type(dataset).__name__} has no rows to select from; give one split as a datasets.Dataset, "
            "or use clues.select_records for a list."
        )


def _kept(selection: Selection) -> list[int]:
    return [row for row, keep in enumerate(selection.kept) if keep]
