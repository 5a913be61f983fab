"""bergson: the aggregated query index of the validation set, then every sample scored against it; no projection.

`commands` is what its `build` and `score` commands do, each loading the model for itself; `loaded` makes the same
calls with the model loaded once, so that scoring can be told from loading.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from bergson import DataConfig, IndexConfig, PreprocessConfig, ScoreConfig, collect_gradients
from bergson.build import build
from bergson.data import allocate_batches, load_scores
from bergson.score.score import create_scorer, score_dataset
from bergson.utils.worker_utils import create_processor, setup_data_pipeline, setup_model_and_peft
from datasets import Dataset
from setting import Data
from torch import Tensor

from clues.data.batches import pad
from clues.data.tokens import Tokens
from clues.models.adapters import save_adapter


def _inputs(data: Data, folder: Path) -> tuple[IndexConfig, IndexConfig]:
    """Adapter and data sets as it wants them, on disk: (configuration of the validation set, of the samples)."""
    save_adapter(data.state, data.lora, data.base, folder / "adapter")
    configs = []
    for name, samples in (("validation", data.validation), ("samples", data.samples)):
        _dataset(samples).save_to_disk(str(folder / name))
        configs.append(
            IndexConfig(
                str(folder / "out" / name),
                model=str(folder / "adapter"),
                tokenizer=data.base.name,
                precision="fp32",
                data=DataConfig(dataset=str(folder / name)),
                loss_reduction="mean",
                projection_dim=0,
                token_batch_size=min(data.scoring.batch_tokens, data.base.model.config.max_position_embeddings),
                max_batch_size=data.scoring.batch_size,
            )
        )
    return configs[0], configs[1]


def _dataset(samples: Sequence[Tokens]) -> Dataset:
    labels = [pad([sample]).labels[0].tolist() for sample in samples]
    ids = [sample.input_ids for sample in samples]
    return Dataset.from_dict({"input_ids": ids, "labels": labels, "length": [len(row) for row in ids]})


@contextmanager
def commands(data: Data, folder: Path) -> Iterator[Callable[[], Tensor]]:
    validation, samples = _inputs(data, folder)

    def run() -> Tensor:
        shutil.rmtree(folder / "out", ignore_errors=True)
        build(validation, PreprocessConfig(aggregation="mean"))
        score_dataset(samples, ScoreConfig(query_path=validation.run_path), PreprocessConfig())
        return _read(Path(samples.run_path))

    yield run


@contextmanager
def loaded(data: Data, folder: Path) -> Iterator[Callable[[], Tensor]]:
    validation, samples = _inputs(data, folder)
    model, modules = setup_model_and_peft(samples)
    sets = {config.run_path: setup_data_pipeline(config)[0] for config in (validation, samples)}

    def collect(config: IndexConfig, **more: Any) -> None:
        rows = sets[config.run_path]
        sizes = allocate_batches(rows["length"][:], config.token_batch_size, max_batch_size=config.max_batch_size)
        processor = create_processor(model, config, modules)
        collect_gradients(model, rows, processor, config, batches=sizes, target_modules=modules, **more)

    def run() -> Tensor:
        shutil.rmtree(folder / "out", ignore_errors=True)
        for config in (validation, samples):
            config.partial_run_path.mkdir(parents=True)
        collect(validation, preprocess_cfg=PreprocessConfig(aggregation="mean"))
        scorer = create_scorer(
            samples.partial_run_path,
            sets[samples.run_path],
            ScoreConfig(query_path=str(validation.partial_run_path)),
            PreprocessConfig(aggregation="mean"),  # a mean of the one row that the query index holds
            device=torch.device("cpu"),
            dtype=torch.float32,
        )
        collect(samples, scorer=scorer)
        scorer.writer.flush()
        return _read(samples.partial_run_path)

    yield run


def _read(folder: Path) -> Tensor:
    scores = load_scores(folder)
    if not scores.is_written():
        raise RuntimeError("bergson left samples without a score")
    return torch.from_numpy(scores[:].astype("float32").copy())
