"""The identity of a base model: a digest of configuration, tokenizer and weights, independent of its path."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clues.io.digests import value_digest
from clues.io.files import read_json, write_json
from clues.io.packages import cache_folder, file_digest

# Entries of a configuration that depend on how or by which version the model was loaded.
_INCIDENTAL = {"transformers_version", "dtype", "torch_dtype", "use_cache", "quantization_config", "architectures"}


def base_digest(model: Any, tokenizer: Any, source: str | None) -> str:
    """SHA-256 that identifies a base model, independent of its path and of the dtype it is loaded in.

    Args:
        source: the folder or Hub id that the model was loaded from. If it is None or has no files, the weights in
            memory are used.
    """
    config = {
        key: value
        for key, value in model.config.to_diff_dict().items()
        if key not in _INCIDENTAL and not key.startswith("_")
    }
    folder = source and _files_of(source, getattr(model.config, "_commit_hash", None))
    weights = weights_digest(folder) if folder else None
    return value_digest(
        [config, _tokenizer_facts(tokenizer), weights or _tensors_digest(sorted(model.state_dict().items()))]
    )


def weights_digest(folder: Path) -> str | None:
    """SHA-256 of the weights in a folder, independent of their division into safetensors files; None without weights.

    Cached by the files' paths, sizes and times, because reading a large model takes a while.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted([*folder.glob("*.bin"), *folder.glob("*.gguf")])
    if not files:
        return None
    facts = [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    cached = cache_folder() / "digests" / f"{value_digest(facts)}.json"
    if cached.is_file():
        return str(read_json(cached)["weights"])
    if files[0].suffix == ".safetensors":
        digest = _tensors_digest(_stored_tensors(files))
    else:
        digest = value_digest([file_digest(file) for file in files])
    write_json(cached, {"weights": digest})
    return digest


def _stored_tensors(files: Iterable[Path]) -> Iterator[tuple[str, Tensor]]:
    from safetensors import safe_open

    places: dict[str, Path] = {}
    for file in files:
        with safe_open(str(file), framework="pt") as opened:
            places |= dict.fromkeys(opened.keys(), file)
    for name in sorted(places):
        with safe_open(str(places[name]), framework="pt") as opened:
            yield name, opened.get_tensor(name)


def _tensors_digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 of named tensors, in the given order."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _tokenizer_facts(tokenizer: Any) -> Any:
    if tokenizer is None:
        return None
    return [tokenizer.get_vocab(), tokenizer.special_tokens_map, tokenizer.chat_template]


def _files_of(source: str, commit: str | None) -> Path | None:
    """The folder of a model's files: `source` itself, or the download of a commit in transformers' cache."""
    if Path(source).is_dir():
        return Path(source)
    from transformers.utils import cached_file

    try:
        return Path(cached_file(source, "config.json", local_files_only=True, revision=commit)).parent
    except (OSError, ValueError, TypeError):
        return None
