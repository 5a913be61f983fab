"""Loading a base model: any causal LM of transformers, or the embedded default."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from clues.errors import ModelError
from clues.io.processes import main_first, process_count, process_state
from clues.models import embedded
from clues.models.identity import base_digest
from clues.models.restoring import restored
from clues.settings import ModelSettings


@dataclass(frozen=True)
class Base:
    """A frozen base model with its tokenizer.

    `name`: the folder or Hub id of the model, which an adapter's configuration records. `any_base`: whether to accept
    adapters of other or unknown bases. `in_memory`: whether the caller loaded the model, so that its digest is of the
    weights in memory, not of those in the folder.
    """

    name: str
    model: Any
    tokenizer: Any
    any_base: bool = False
    in_memory: bool = False

    @property
    def positions(self) -> int | None:
        """The maximum number of tokens in a sequence; None if the model's configuration has no limit."""
        config = self.model.config.get_text_config()
        limits = (getattr(config, key, None) for key in ("max_position_embeddings", "n_positions"))
        return next((int(count) for count in limits if isinstance(count, int) and count > 0), None)

    @cached_property
    def digest(self) -> str:
        """The digest of configuration, tokenizer and weights (`clues.models.identity`)."""
        return base_digest(self.model, self.tokenizer, None if self.in_memory else self.name)

    @property
    def device(self) -> torch.device:
        return torch.device(self.model.device)


@contextmanager
def at_rest(base: Base) -> Iterator[None]:
    """Freeze the model and set it to evaluation mode; restore its state at the end of the context."""
    with restored(base.model):
        base.model.eval().requires_grad_(False)
        base.model.config.use_cache = False
        yield


@functools.lru_cache(maxsize=1)
def load_base(settings: ModelSettings) -> Base:
    """Load a base model once per process: the clients of a process share it.

    Raises:
        ModelError: the model cannot be loaded, or the device is not available.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # we show our own
    source = str(main_first(embedded.fetch)) if settings.id == embedded.NAME else settings.id
    device = _device(settings.device)
    location = {"revision": settings.revision or "main", "gguf_file": settings.gguf_file}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **location)
        model = AutoModelForCausalLM.from_pretrained(
            source,
            **location,
            dtype=getattr(torch, settings.dtype),
            device_map={"": device},
            quantization_config=_quantization(settings),
        )
    except Exception as error:  # each library has its own errors for missing, broken and unknown models
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"model.id: '{settings.id}' cannot be loaded ({first_line}); give a folder, a Hub id or '{embedded.NAME}'."
        ) from None
    model.requires_grad_(False)
    model.config.use_cache = False
    if settings.quantization != "none":
        from peft import prepare_model_for_kbit_training

        # It converts norms to float32. Done here, so that the base is the same with and without an adapter.
        prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return Base(_identity(source), model.eval(), tokenizer, settings.any_base)


def _device(name: str) -> str:
    if name != "auto":
        try:
            device = torch.device(name)
        except RuntimeError:
            raise ModelError(f"model.device: '{name}' is not a device; use auto, cpu, cuda or cuda:N.") from None
        if device.type == "cuda" and not torch.cuda.is_available():
            raise ModelError(f"model.device: '{name}' is not available; use auto or cpu.")
        if name != "cuda" or process_count() == 1:
            return name
    if process_count() > 1:  # one GPU per process
        return str(process_state().device)
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _quantization(settings: ModelSettings) -> Any:
    if settings.quantization == "none":
        return None
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_8bit=settings.quantization == "8bit",
        load_in_4bit=settings.quantization == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=getattr(torch, settings.dtype),
    )


def _identity(source: str) -> str:
    path = Path(source)
    return str(path.resolve()) if path.is_dir() else source
