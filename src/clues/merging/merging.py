"""Merging K adapters into one.

PEFT merges adapters of one shape tensor by tensor. `linear` averages A and B separately, so it has cross terms:
mean(B)·mean(A) ≠ mean(BA). `exact` concatenates ranks and is exactly the weighted sum of the ΔW; `svd` re-factors
that sum to the original rank. These two also merge adapters of different ranks and modules (`clues.merging.updates`).
TIES: arXiv 2306.01708; DARE: arXiv 2311.03099.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import get_peft_model, set_peft_model_state_dict

from clues.errors import ConfigError, ModelError
from clues.io.progress import phase
from clues.merging.updates import as_adapter, concatenated, of_rank, same_shape, updates_of
from clues.models.adapters import AdapterState, Lora, adapter_state, lora_facts, peft_config
from clues.models.base import Base
from clues.models.restoring import restored
from clues.settings import LoraSettings, MergingSettings

Adapter = tuple[AdapterState, Lora]

_PEFT_NAME = {
    "linear": "linear",
    "ties": "ties",
    "dare-linear": "dare_linear",
    "dare-ties": "dare_ties",
    "svd": "svd",
    "exact": "cat",
}
_SPARSE = {"ties", "dare-linear", "dare-ties"}


def _peft_weight(method: str, share: float, *, count: int) -> float:
    """The weight to pass to PEFT so that identical adapters merge to themselves.

    PEFT multiplies A and B by the root of a weight. `linear` then sums them, the TIES methods average those that agree
    in sign, and the methods on ΔW itself (`exact`, `svd`) use the weight unchanged.
    """
    if method in ("linear", "dare-linear"):
        return share**2
    return share * count if method in ("ties", "dare-ties") else share


@phase("merging")
def merge_adapters(
    base: Base, adapters: Sequence[Adapter], *, weights: Sequence[float], settings: MergingSettings, seed: int
) -> Adapter:
    """Merge LoRA adapters of any ranks, scalings and modules.

    Args:
        weights: relative weights, one per adapter; the merged update is multiplied by `settings.scale`.

    Raises:
        ConfigError: the method requires adapters of the same shape.
        ModelError: an adapter changes the base by more than LoRA updates.
    """
    configs = [_settings_of(state, config) for state, config in adapters]
    if all(isinstance(config, LoraSettings) and config == configs[0] for config in configs):
        uniform = [(state, configs[0]) for state, _ in adapters]
        return _merge_same_shape(base, uniform, weights=weights, settings=settings, seed=seed)
    updates = []
    for number, (state, config) in enumerate(adapters, start=1):
        try:
            updates.append(updates_of(base, state, config))
        except ModelError as error:
            raise ModelError(f"adapter {number} of {len(adapters)}: {error}") from None
    if same_shape(updates) and len({update.rank for update in updates[0].values()}) == 1:
        plain = [as_adapter(base, one) for one in updates]
        return _merge_same_shape(base, plain, weights=weights, settings=settings, seed=seed)
    if settings.method not in ("exact", "svd"):
        raise ConfigError(
            f"merging.method: {settings.method} merges adapters of one rank and the same modules only; "
            "use exact or svd."
        )
    total = sum(weights)
    merged = concatenated(updates, [settings.scale * weight / total for weight in weights])
    if settings.method == "svd":
        ranks = {name: max(one[name].rank for one in updates if name in one) for name in merged}
        merged = of_rank(merged, ranks)
    return as_adapter(base, merged)


def _settings_of(state: AdapterState, config: Lora) -> Lora:
    """Equivalent settings of ours if they describe the adapter completely, else its configuration."""
    if isinstance(config, LoraSettings) or isinstance(config.target_modules, str | None):
        return config
    ours = LoraSettings(
        r=config.r, alpha=config.lora_alpha, dropout=config.lora_dropout, target_modules=sorted(config.target_modules)
    )
    plain = all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in state)
    return ours.model_copy(update={"dropout": 0.0}) if plain and lora_facts(ours) == lora_facts(config) else config


def _merge_same_shape(
    base: Base, adapters: Sequence[Adapter], *, weights: Sequence[float], settings: MergingSettings, seed: int
) -> Adapter:
    """Merge adapters of the same shape and scaling, tensor by tensor.

    Returns:
        The merged tensors and their configuration (`exact` and `svd` fold the scaling s into B).
    """
    total = sum(weights)
    shares = [_peft_weight(settings.method, weight / total, count=len(weights)) * settings.scale for weight in weights]
    torch.manual_seed(seed)
    lora = adapters[0][1]
    config = peft_config(lora, base.name)
    names = [f"client{index}" for index in range(len(adapters))]
    with restored(base.model):
        model = get_peft_model(base.model, config, adapter_name=names[0])
        for name in names[1:]:
            model.add_adapter(name, config)
        for name, (state, _) in zip(names, adapters, strict=True):
            set_peft_model_state_dict(model, dict(state), adapter_name=name)
        options: dict[str, Any] = {"density": settings.density} if settings.method in _SPARSE else {}
        if settings.method == "svd":
            options = {"svd_rank": lora.r}
        model.add_weighted_adapter(names, shares, "merged", combination_type=_PEFT_NAME[settings.method], **options)
        merged = model.peft_config["merged"]
        state = adapter_state(model, "merged")
    if isinstance(lora, LoraSettings):
        return state, lora.model_copy(update={"r": merged.r, "alpha": float(merged.lora_alpha)})
    return state, merged
