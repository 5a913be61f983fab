"""What every contender of a comparison is given: model, adapter and samples, made anew in each process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clues.data.tokens import Tokens
from clues.models.adapters import adapter_state, attached
from clues.models.base import Base, load_base
from clues.settings import LoraSettings, ModelSettings, ScoringSettings


@dataclass(frozen=True)
class Setting:
    """Picklable: a contender's process makes the same model, adapter and samples of it as any other."""

    model: str
    samples: int = 32
    validation: int = 2
    tokens: int = 96
    rank: int = 16
    directions: int = 1
    batch_tokens: int = ScoringSettings().batch_tokens
    threads: int = 1

    @property
    def lora(self) -> LoraSettings:
        return LoraSettings(r=self.rank)

    @property
    def scoring(self) -> ScoringSettings:
        return ScoringSettings(similarity="dot", batch_tokens=self.batch_tokens)

    @property
    def batch_size(self) -> int:
        """What our own batching comes to for samples of one length; the others are given the same."""
        return max(1, min(self.scoring.batch_size, self.scoring.batch_tokens // self.tokens))

    @property
    def shares(self) -> torch.Tensor:
        """validation × directions: the first direction is the mean, the others are any mixtures."""
        others = torch.rand(self.validation, self.directions - 1, generator=torch.Generator().manual_seed(4))
        return torch.cat([torch.ones(self.validation, 1), others], dim=1) / self.validation


@dataclass(frozen=True)
class Data:
    """What a contender scores: samples against the mean gradient of the validation set (and other mixtures)."""

    base: Base
    lora: LoraSettings
    state: dict[str, torch.Tensor]
    samples: list[Tokens]
    validation: list[Tokens]
    shares: torch.Tensor
    scoring: ScoringSettings
    batch_size: int

    @property
    def limits(self) -> dict[str, int]:
        return self.scoring.model_dump(include={"batch_size", "batch_tokens"})


def prepare(setting: Setting) -> Data:
    torch.set_num_threads(setting.threads)
    base = load_base(ModelSettings(id=setting.model, device="cpu"))
    generator = torch.Generator().manual_seed(3)
    with attached(base, setting.lora) as model:  # B ≠ 0, as after some training
        state = {n: torch.randn(t.shape, generator=generator) * 0.02 for n, t in adapter_state(model).items()}
    vocabulary = base.model.config.vocab_size
    return Data(
        base,
        setting.lora,
        state,
        random_tokens(setting.samples, setting.tokens, vocabulary, 1),
        random_tokens(setting.validation, setting.tokens, vocabulary, 2),
        setting.shares,
        setting.scoring,
        setting.batch_size,
    )


@contextmanager
def frozen(data: Data) -> Iterator[Any]:
    """The model with the adapter, nothing of it asking for a gradient."""
    with attached(data.base, data.lora, data.state) as model:
        yield model.eval().requires_grad_(False)


def random_tokens(count: int, length: int, vocabulary: int, seed: int) -> list[Tokens]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(5, vocabulary, (count, length), generator=generator).tolist()
    return [Tokens(str(n), "d", row, length * 2 // 3, False) for n, row in enumerate(rows)]


def tiny_model(folder: Path) -> Path:
    """A random Llama with a tokenizer of a few words, to try the benchmark itself."""
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {"<s>": 0, "</s>": 1, "a": 2}
    raw = Tokenizer(models.WordLevel(words, unk_token="<s>"))
    PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320,
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
