"""A data set and a Trainer get the rows that a silo keeps."""

from __future__ import annotations

import json

import pytest
import trl
from datasets import Dataset, DatasetDict
from transformers import AutoModelForCausalLM, AutoTokenizer

import clues
from clues.errors import ConfigError
from clues.silo.silo import Silo

FAST = {"training": {"steps": 1}, "lora": {"r": 2}, "selection": {"threshold": "ratio"}}


@pytest.fixture
def loaded(tiny_model):
    return {
        "model": AutoModelForCausalLM.from_pretrained(tiny_model),
        "tokenizer": AutoTokenizer.from_pretrained(tiny_model),
    }


@pytest.fixture
def records(write_samples):
    def read(name: str, count: int) -> list[dict]:
        rows = [json.loads(line) for line in write_samples(name, count).read_text().splitlines()]
        return [{"prompt": row["prompt"], "completion": row["response"]} for row in rows]

    return read


@pytest.fixture
def public(records):
    return {"validation": records("val", 3), "anchors": Dataset.from_list(records("anchors", 3))}


def trainer_of(loaded, dataset, folder, **options):
    args = trl.SFTConfig(output_dir=str(folder), use_cpu=True, bf16=False, max_steps=1, report_to=[], **options)
    return trl.SFTTrainer(loaded["model"], args=args, train_dataset=dataset, processing_class=loaded["tokenizer"])


def test_a_dataset_keeps_the_rows_of_the_silo_and_its_columns(loaded, records, public):
    rows = records("own", 6)
    dataset = Dataset.from_list([{**row, "note": str(number)} for number, row in enumerate(rows)])
    kept = clues.select(dataset, **loaded, **public, **FAST)
    silo = Silo.from_records(*loaded.values(), rows, **public, **FAST)
    assert kept["note"][:] == [str(row) for row, keep in enumerate(silo.select().kept) if keep]
    assert kept.features == dataset.features and len(kept) == 3


def test_a_trainer_trains_on_the_kept_rows_and_writes_why(loaded, records, public, tmp_path):
    dataset = Dataset.from_list(records("own", 6))
    trainer = trainer_of(loaded, dataset, tmp_path / "out")
    before = trainer.train_dataset
    callback = clues.SelectCallback(trainer, dataset, **public, **FAST)
    trainer.add_callback(callback)
    kept = [row for row, keep in enumerate(callback.selection.kept) if keep]
    assert trainer.train_dataset.to_list() == before.select(kept).to_list() and len(kept) == 3
    trainer.train()
    rows = [json.loads(line) for line in (tmp_path / "out/clues.jsonl").read_text().splitlines()]
    assert [row["kept"] for row in rows] == callback.selection.kept
    assert all(row["reason"].startswith(("among", "not among")) for row in rows)
    assert any(entry.get("clues_kept") == 3 for entry in trainer.state.log_history)


def test_what_cannot_be_selected_from_is_one_sentence(loaded, records, public, tmp_path):
    dataset = Dataset.from_list(records("own", 6))
    for wrong in (DatasetDict(train=dataset), dataset.to_iterable_dataset(), records("own", 2)):
        with pytest.raises(ConfigError, match=r"^dataset: a \w+ has no rows to select from; give one split"):
            clues.select(wrong, **loaded, **public)
    trainer = trainer_of(loaded, dataset, tmp_path)
    with pytest.raises(ConfigError, match="the trainer has 6 rows and the data set 2; turn off packing"):
        clues.SelectCallback(trainer, dataset.select([0, 1]), **public)
    trainer.model.peft_config = {}
    with pytest.raises(ConfigError, match="has an adapter already; select before"):
        clues.SelectCallback(trainer, dataset, **public)
