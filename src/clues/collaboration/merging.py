"""Merging K adapters into one, by PEFT.

`linear` averages A and B separately, so it has cross terms: mean(B)·mean(A) ≠ mean(BA). `exact` concatenates
ranks and is exactly the weighted sum of the ΔW; `svd` re-factors that sum to the original rank.
TIES: arXiv 2306.01708; DARE: arXiv 2311.03099.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft import get_peft_model, set_peft_model_state_dict
from torch import Tensor

from clues.models.adapters import AdapterState, adapter_state, detach, peft_config
from clues.models.base import Base
from clues.settings import LoraSettings, MergingSettings

_PEFT_NAME = {
    "linear": "linear",
    "ties": "ties",
    "dare-linear": "dare_linear",
    "dare-ties": "dare_ties",
    "svd": "svd",
    "exact": "cat",
}
_SPARSE = {"ties", "dare-linear", "dare-ties"}


def _peft_weight(method: str, share: float, count: int) -> float:
    """The weight PEFT needs, so that adapters which are all the same merge to themselves.

    It multiplies A and B by the root of a weight; `linear` then adds them up, the TIES forms take the mean of those
    that agree in sign, and the two on ΔW itself (`exact`, `svd`) use the weight as it is.
    """
    if method in ("linear", "dare-linear"):
        return share**2
    return share * count if method in ("ties", "dare-ties") else share


def merge(
    base: Base,
    adapters: Sequence[Mapping[str, Tensor]],
    lora: LoraSettings,
    weights: Sequence[float],
    settings: MergingSettings,
    seed: int,
) -> tuple[AdapterState, LoraSettings]:
    """Merge adapters of one shape.

    Args:
        weights: one per adapter, in proportion; the merged update is multiplied by `settings.scale`.

    Returns:
        The merged tensors and the settings that describe them (`exact` and `svd` fold the scaling s into B).
    """
    total = sum(weights)
    shares = [_peft_weight(settings.method, weight / total, len(weights)) * settings.scale for weight in weights]
    torch.manual_seed(seed)
    config = peft_config(lora, base.name)
    names = [f"client{index}" for index in range(len(adapters))]
    model = get_peft_model(base.model, config, adapter_name=names[0])
    try:
        for name in names[1:]:
            model.add_adapter(name, config)
        for name, state in zip(names, adapters, strict=True):
            set_peft_model_state_dict(model, dict(state), adapter_name=name)
        options: dict[str, Any] = {"density": settings.density} if settings.method in _SPARSE else {}
        if settings.method == "svd":
            options = {"svd_rank": lora.r}
        model.add_weighted_adapter(names, shares, "merged", combination_type=_PEFT_NAME[settings.method], **options)
        merged = model.peft_config["merged"]
        return adapter_state(model, "merged"), lora.model_copy(
            update={"r": merged.r, "alpha": float(merged.lora_alpha)}
        )
    finally:
        detach(base, model)
