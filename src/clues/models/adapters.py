"""LoRA adapters with PEFT: attaching to the shared base, reading, writing, and selecting modules."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from clues.errors import ConfigError, ModelError
from clues.io.files import read_json, write_json
from clues.io.store import Codec
from clues.models.base import Base
from clues.models.identity import weights_digest
from clues.models.restoring import restored
from clues.settings import LoraSettings

if TYPE_CHECKING:
    from peft import LoraConfig

AdapterState = dict[str, Tensor]  # tensors by PEFT's names
# An adapter's configuration: our settings, or that of a loaded adapter.
Lora: TypeAlias = "LoraSettings | LoraConfig"
_BASE_FILE = "base_model.json"  # in an adapter's folder: the digest of its base
_INCIDENTAL = {"base_model_name_or_path", "inference_mode", "peft_version", "revision"}


@dataclass(frozen=True)
class LoraModule:
    """One adapted linear: y = W x + scaling · B A x, with A: r × in and B: out × r."""

    name: str
    a: nn.Linear
    b: nn.Linear

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Its trained tensors, by PEFT's names."""
        weights = {f"{self.name}.lora_A.weight": self.a.weight, f"{self.name}.lora_B.weight": self.b.weight}
        return weights if self.b.bias is None else {**weights, f"{self.name}.lora_B.bias": self.b.bias}


@contextmanager
def attached(base: Base, lora: Lora, state: Mapping[str, Tensor] | None = None, seed: int = 0) -> Iterator[Any]:
    """The base with an adapter attached, initialised from `seed` or `state`, and detached at the end of the context.

    Args:
        state: adapter tensors by PEFT's names.

    Raises:
        ConfigError: a target module is not in the base model.
        ModelError: the tensors do not fit the base model, or are not those of a LoRA adapter.
    """
    from peft import get_peft_model, set_peft_model_state_dict

    config = peft_config(lora, base.name)
    _check_kind(config)
    with restored(base.model, weights=_changes_the_base(config, state)):
        torch.manual_seed(seed)
        try:
            model = get_peft_model(base.model, config)
        except ValueError as error:
            raise ConfigError(f"lora.target_modules: {str(error).splitlines()[0]} Name modules of the base.") from None
        if isinstance(lora, LoraSettings):
            _check_targets(model, lora)
        if state is not None:
            try:
                result = set_peft_model_state_dict(model, dict(state))
            except RuntimeError:
                raise ModelError(f"the adapter's tensors do not fit {base.name}; use its own base model.") from None
            if result.unexpected_keys:
                raise ModelError(f"the adapter names modules that {base.name} lacks; use its own base model.")
        yield model


def _check_kind(config: Any) -> None:
    """Raises ModelError if an adapter cannot be attached and detached again."""
    if str(getattr(config.peft_type, "value", config.peft_type)) != "LORA":
        raise ModelError(f"the adapter is of type {config.peft_type}; only LoRA adapters can be used.")
    if getattr(config, "target_parameters", None):
        raise ModelError("the adapter has target_parameters, which are not linear layers; train one without them.")
    if _initialised(config, "corda", "loftq", "pissa_niter"):
        raise ModelError(
            f"the adapter was initialised by {config.init_lora_weights}, which changes the base model "
            "irreproducibly; convert it by PEFT's save_pretrained(path_initial_model_for_weight_conversion=…)."
        )


def _changes_the_base(config: Any, state: Mapping[str, Tensor] | None) -> bool:
    """Whether attaching changes the base's weights, through the initialisation or tensors of other modules."""
    return subtracted_from_the_base(config) or any("lora_" not in name for name in state or {})


def subtracted_from_the_base(config: Any) -> bool:
    """Whether the initial update was subtracted from the base's weights, as PiSSA and OLoRA do."""
    return _initialised(config, "pissa", "olora")


def _initialised(config: Any, *names: str) -> bool:
    return str(config.init_lora_weights).lower().startswith(names)


def _check_targets(model: Any, config: LoraSettings) -> None:
    """Raises ConfigError if any target is missing from the model: PEFT ignores it unless all are."""
    if isinstance(config.target_modules, str):
        return
    names = model.targeted_module_names
    missing = [t for t in config.target_modules if not any(name == t or name.endswith(f".{t}") for name in names)]
    if missing:
        raise ConfigError(
            f"lora.target_modules: {', '.join(missing)} is no module of the base model that LoRA can adapt; remove it."
        )


def adapter_state(model: Any, name: str = "default") -> AdapterState:
    """The adapter's tensors in float32 on the CPU, by PEFT's names."""
    from peft import get_peft_model_state_dict

    tensors = get_peft_model_state_dict(model, adapter_name=name)
    return {key: t.detach().float().cpu().clone() for key, t in tensors.items()}


def lora_modules(model: Any, pattern: str = "*") -> list[LoraModule]:
    """The adapted linears whose names match a glob, for example `*.layers.0.*`.

    Raises:
        ConfigError: no module matches, or a matching module has trained tensors other than a linear's A and B, whose
            gradients would be ignored silently.
    """
    linears = [
        LoraModule(name, layer.lora_A["default"], layer.lora_B["default"])
        for name, layer in model.named_modules()
        if "default" in getattr(layer, "lora_A", ()) and isinstance(layer.lora_A["default"], nn.Linear)
    ]
    selected = [module for module in linears if fnmatch.fnmatch(module.name, pattern)]
    known = {name for module in linears for name in module.tensors}
    others = sorted({_module_of(name) for name in _trained_tensors(model) - known})
    unscored = [name for name in others if fnmatch.fnmatch(name, pattern)]
    if unscored:
        raise ConfigError(
            f"lora.target_modules: {', '.join(unscored[:5])} is trained, and only A and B of linear layers can be "
            "scored; leave it out of the adapter, or out of scoring.modules."
        )
    if not selected:
        example = linears[0].name if linears else "none"
        raise ConfigError(f"scoring.modules: '{pattern}' matches no adapter module; names look like {example}.")
    return selected


def _trained_tensors(model: Any) -> set[str]:
    """PEFT's names of all tensors of the adapter: LoRA's, magnitudes, saved modules, trained tokens."""
    from peft import get_peft_model_state_dict

    return set(get_peft_model_state_dict(model, save_embedding_layers=False))


def _module_of(tensor: str) -> str:
    """The module that a tensor adapts: `….embed_tokens.lora_embedding_A` → `….embed_tokens`."""
    return re.split(r"\.(?:lora_|trainable_tokens|modules_to_save)", tensor)[0].removesuffix(".weight")


def save_adapter(state: Mapping[str, Tensor], lora: Lora, base: Base, folder: Path) -> None:
    """Write an adapter that `PeftModel.from_pretrained` can load, with the digest of its base in the same folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: t.contiguous() for name, t in state.items()}, str(folder / "adapter_model.safetensors"))
    saved = peft_config(lora, base.name)
    saved.inference_mode = True
    saved.save_pretrained(str(folder))
    write_json(folder / _BASE_FILE, {"sha256": base.digest})


def load_adapter(folder: Path, base: Base | None = None) -> tuple[AdapterState, Lora]:
    """(tensors, PEFT config) of an adapter folder, checked to belong to `base`.

    Raises:
        ModelError: the folder contains no adapter, or that of another base model.
    """
    from peft import PeftConfig
    from safetensors.torch import load_file

    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"{folder}: contains no adapter (adapter_config.json, adapter_model.safetensors); check the path."
        )
    try:
        config = PeftConfig.from_pretrained(str(folder))
        state = load_file(str(folder / "adapter_model.safetensors"))
    except Exception as error:  # the libraries raise many kinds of errors for broken files
        raise ModelError(f"{folder}: the adapter cannot be read ({type(error).__name__}); write it again.") from None
    if base is not None and not base.any_base:
        _check_base(folder, config.base_model_name_or_path, base=base)
    return state, config


def _check_base(folder: Path, name: str | None, *, base: Base) -> None:
    """Raises ModelError if an adapter belongs to another base model, or if its base cannot be compared."""
    if (folder / _BASE_FILE).is_file():
        same = read_json(folder / _BASE_FILE)["sha256"] == base.digest
    elif name == base.name:
        same = True
    elif name and Path(name).is_dir():
        weights = weights_digest(Path(name))
        same = weights is not None and Path(base.name).is_dir() and weights == weights_digest(Path(base.name))
    else:
        raise ModelError(
            f"{folder}: its base, {name}, is not available for comparison with {base.name}; "
            "if it is the same model, pass --set model.any_base=true."
        )
    if not same:
        raise ModelError(f"{folder}: is an adapter of {name}, not of {base.name}; name its own base with --model.")


def peft_config(lora: Lora, base_name: str) -> LoraConfig:
    """The PEFT configuration of our settings; that of a loaded adapter is returned ready for training."""
    from peft import LoraConfig

    if not isinstance(lora, LoraSettings):
        lora.inference_mode = False
        return lora
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules),
        task_type="CAUSAL_LM",
        base_model_name_or_path=base_name,
    )


def lora_facts(lora: Lora) -> dict[str, Any]:
    """The entries of an adapter's configuration that affect scores, comparable between settings and loaded adapters."""
    facts: dict[str, Any] = peft_config(lora, "").to_dict()
    return {key: value for key, value in facts.items() if key not in _INCIDENTAL}


def _save_tensors(path: Path, state: AdapterState) -> None:
    from safetensors.torch import save_file

    save_file(state, str(path))


def _load_tensors(path: Path) -> AdapterState:
    from safetensors.torch import load_file

    return dict(load_file(str(path)))


TENSORS: Codec[AdapterState] = Codec(".safetensors", _save_tensors, _load_tensors)
