"""The update that a LoRA adapter adds to each weight: ΔW = B A, with the scaling folded into B.

PEFT resolves the configuration (rsLoRA, rank and alpha patterns, regular expressions of targets, layers to transform).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clues.errors import ModelError
from clues.models.adapters import AdapterState, attached, lora_modules, subtracted_from_the_base
from clues.models.base import Base

_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True)
class Update:
    """ΔW = b a, with a: r × in and b: out × r, on the CPU in float32."""

    a: Tensor
    b: Tensor

    @property
    def rank(self) -> int:
        return self.a.shape[0]


Updates = dict[str, Update]  # by name of the module in the base model


def updates_of(base: Base, state: AdapterState, config: Any) -> Updates:
    """The updates of a PEFT LoRA adapter.

    Raises:
        ModelError: the adapter changes the base model by more than updates; names what it has.
    """
    state = _without_base_tensors(base, state)
    _refuse_more_than_updates(state, config)
    with attached(base, config, state) as model, torch.no_grad():
        updates = {}
        for module in lora_modules(model):
            scaling = model.get_submodule(module.name).scaling["default"]
            b = module.b.weight.detach().float().cpu() * scaling
            updates[module.name.removeprefix(_PREFIX)] = Update(module.a.weight.detach().float().cpu().clone(), b)
        return updates


def _without_base_tensors(base: Base, state: AdapterState) -> AdapterState:
    """The tensors without copies of the base's, which PEFT saves for an embedding or head that is a target."""
    base_tensors = base.model.state_dict()

    def same(name: str, tensor: Tensor) -> bool:
        original = base_tensors.get(name.removeprefix(_PREFIX).replace(".base_layer.", "."))
        return original is not None and original.shape == tensor.shape and torch.equal(original.to(tensor), tensor)

    return {name: tensor for name, tensor in state.items() if "lora_" in name or not same(name, tensor)}


def _refuse_more_than_updates(state: AdapterState, config: Any) -> None:
    if not hasattr(config, "peft_type"):  # our settings describe plain LoRA
        return
    reasons = {
        "is a DoRA adapter": config.use_dora,
        "has biases": getattr(config, "lora_bias", False) or config.bias != "none",
        "saves whole modules (modules_to_save)": config.modules_to_save,
        "trains tokens (trainable_token_indices)": getattr(config, "trainable_token_indices", None),
        "repeats layers (layer_replication)": config.layer_replication,
        f"was initialised by {config.init_lora_weights} and not converted": subtracted_from_the_base(config),
        "carries tensors beside LoRA's, such as embeddings": any("lora_" not in name for name in state),
        "adapts embeddings": any("lora_embedding" in name for name in state),
    }
    present = [reason for reason, holds in reasons.items() if holds]
    if present:
        raise ModelError(f"the adapter {' and '.join(present)}, which a merge would lose; merge plain LoRA adapters.")


def lora_pairs(state: AdapterState) -> Updates:
    """The products B A of plain LoRA tensors, by module, without the scaling, which is the same for all adapters.

    Raises:
        ModelError: there are other tensors than pairs of A and B.
    """
    modules = [name.removesuffix(_A) for name in state if name.endswith(_A)]
    if set(state) != {module + part for module in modules for part in (_A, _B)}:
        raise ModelError("the adapter has other tensors than A and B of linear layers; average them separately.")
    return {module: Update(state[module + _A].float().cpu(), state[module + _B].float().cpu()) for module in modules}


def lora_state(updates: Updates) -> AdapterState:
    """The inverse of `lora_pairs`."""
    return {
        module + part: tensor.contiguous()
        for module, update in updates.items()
        for part, tensor in ((_A, update.a), (_B, update.b))
    }


def products(updates: Updates) -> dict[str, Tensor]:
    """Every b a as one matrix, out × in: what parties can add up without showing a and b."""
    return {name: update.b @ update.a for name, update in updates.items()}


def factored(sums: Mapping[str, Tensor], rank: int) -> Updates:
    """The nearest updates of this rank to matrices out × in (Eckart–Young)."""
    result = {}
    for name, matrix in sums.items():
        u, s, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
        result[name] = Update(vh[:rank].float(), (u[:, :rank] * s[:rank]).float())
    return result


def concatenated(updates: Sequence[Updates], weights: Sequence[float]) -> Updates:
    """Σ_k w_k ΔW_k of every adapted module, exactly: ranks are concatenated, and each w is folded into b."""
    merged = {}
    for name in dict.fromkeys(name for one in updates for name in one):
        parts = [(one[name], weight) for one, weight in zip(updates, weights, strict=True) if name in one]
        a, b = torch.cat([part.a for part, _ in parts]), torch.cat([part.b * weight for part, weight in parts], dim=1)
        merged[name] = Update(a, b)
    return merged


def of_rank(updates: Updates, ranks: Mapping[str, int]) -> Updates:
    """The nearest updates of these ranks, by module: b a truncated to its largest singular values (Eckart–Young)."""
    result = {}
    for name, update in updates.items():
        qb, rb = torch.linalg.qr(update.b.double())
        qa, ra = torch.linalg.qr(update.a.double().T)
        u, s, vh = torch.linalg.svd(rb @ ra.T)
        rank = min(ranks[name], len(s))
        b, a = qb @ u[:, :rank] * s[:rank], vh[:rank] @ qa.T
        result[name] = Update(a.float(), b.float())
    return result


def as_adapter(base: Base, updates: Updates) -> tuple[AdapterState, Any]:
    """(tensors, configuration) of a PEFT adapter with exactly these updates."""
    from peft import LoraConfig

    ranks = {name: update.rank for name, update in updates.items()}
    usual = Counter(ranks.values()).most_common(1)[0][0]
    others = {name: rank for name, rank in ranks.items() if rank != usual}
    config = LoraConfig(
        r=usual,
        lora_alpha=usual,
        rank_pattern=others,
        alpha_pattern=dict(others),
        target_modules=_targets(base, updates),
        task_type="CAUSAL_LM",
        base_model_name_or_path=base.name,
    )
    return lora_state({_PREFIX + name: update for name, update in updates.items()}), config


def _targets(base: Base, names: Iterable[str]) -> list[str]:
    """The last parts of the modules' names if these match exactly the same modules, else their full names."""
    full = set(names)
    last = {name.rpartition(".")[2] for name in full}
    matched = {name for name, _ in base.model.named_modules() if name.rpartition(".")[2] in last}
    return sorted(last) if matched == full else sorted(full)


def same_shape(updates: Sequence[Updates]) -> bool:
    """Whether all updates are of the same modules with the same ranks."""
    return len({tuple(sorted((name, update.rank) for name, update in one.items())) for one in updates}) == 1
