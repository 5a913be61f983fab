"""Tiny random models of several families, each with what sets it apart; all share one vocabulary of 96 tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
)

from clues.models.base import Base

_SIZE = {"vocab_size": 96, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
_WIDE = {**_SIZE, "intermediate_size": 32, "num_key_value_heads": 1}


@dataclass(frozen=True)
class Family:
    """`targets`: usual ones; `head`: the output head, where it is one of the targets too."""

    make: Callable[[], Any]
    targets: list[str]
    head: str = "lm_head"


FAMILIES = {
    "llama": Family(lambda: LlamaForCausalLM(LlamaConfig(**_WIDE)), ["q_proj", "v_proj"]),
    "llama-tied": Family(
        lambda: LlamaForCausalLM(LlamaConfig(**_WIDE, tie_word_embeddings=True)), ["q_proj", "down_proj"]
    ),
    # Conv1D in the place of linears, learned positions
    "gpt2": Family(
        lambda: GPT2LMHeadModel(GPT2Config(vocab_size=96, n_positions=48, n_embd=16, n_layer=2, n_head=2)),
        ["c_attn", "c_fc"],
    ),
    # fc1 and fc2 see batch · tokens rows
    "opt": Family(
        lambda: OPTForCausalLM(
            OPTConfig(**_SIZE, ffn_dim=32, max_position_embeddings=64, word_embed_proj_dim=16, dropout=0.0)
        ),
        ["q_proj", "fc1"],
    ),
    "gpt-neox": Family(lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**_SIZE, intermediate_size=32)), ["query_key_value"]),
    # a shared expert sees batch · tokens rows; the others' weights are no linears
    "qwen2-moe": Family(
        lambda: Qwen2MoeForCausalLM(
            Qwen2MoeConfig(
                **_WIDE,
                moe_intermediate_size=8,
                shared_expert_intermediate_size=16,
                num_experts=4,
                num_experts_per_tok=2,
                decoder_sparse_step=1,
            )
        ),
        ["q_proj", "v_proj"],
    ),
    # scaled embeddings, tied to the head
    "gemma": Family(lambda: GemmaForCausalLM(GemmaConfig(**_WIDE, head_dim=8)), ["q_proj", "v_proj"]),
}


def family_base(name: str) -> Base:
    torch.manual_seed(0)
    model = FAMILIES[name].make().eval().requires_grad_(False)
    model.config.use_cache = False
    return Base(f"tiny-{name}", model, None)
