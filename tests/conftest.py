"""A tiny random Llama with a tokenizer made at test time, and small files of samples."""

from __future__ import annotations

import os

# Threads that wait for each other over matrices of tiny models are most of the time, above all on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from clues.data import telling
from clues.models.base import Base, load_base
from clues.settings import ModelSettings
from templates import DEFAULT

VOCABULARY = "the a bone nerve heart rate price bond option trade of with is defined as an increased abnormal fixed"
WORDS = VOCABULARY.split()


@pytest.fixture(autouse=True, scope="module")
def only_new_garbage() -> None:
    """Each training of the Trainer collects garbage, which takes half a second where it looks at all libraries."""
    gc.freeze()


@pytest.fixture(autouse=True)
def with_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUES_TRACEBACK", "1")


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told once in a process is told once in a test."""
    monkeypatch.setattr(telling, "_said", set())


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny-llama"))


def make_tiny_model(folder: Path) -> Path:
    """Fill a folder with a random Llama of two layers, and its byte-level tokenizer with a chat template."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    raw.train_from_iterator([" ".join(WORDS)], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = DEFAULT
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base(tiny_model: Path) -> Base:
    return load_base(ModelSettings(id=str(tiny_model), device="cpu"))


@pytest.fixture
def write_samples(tmp_path: Path) -> Callable[..., Path]:
    """Write `count` prompt/response records of unequal lengths."""

    def write(name: str, count: int, domain: str | None = None, seed: int = 0) -> Path:
        rng = random.Random(f"{name}{seed}")
        path = tmp_path / name
        rows = []
        for number in range(count):
            row = {
                "id": f"{name}-{number}",
                "prompt": "what is " + " ".join(rng.choices(WORDS, k=rng.randint(1, 6))),
                "response": " ".join(rng.choices(WORDS, k=rng.randint(4, 14))),
            }
            rows.append(row | ({"domain": domain} if domain else {}))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write
