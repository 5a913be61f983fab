"""Answers on disk, so that a coordinator that was stopped goes on with what clients have answered."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from clues.collaboration.protocol import Content
from clues.io.files import json_line
from clues.io.store import Codec


def _write(path: Path, content: Content) -> None:
    arrays = {name: tensor.contiguous() for name, tensor in content.arrays.items()}
    save_file(arrays, str(path), {"facts": json_line(content.facts)})


def _read(path: Path) -> Content:
    with safe_open(str(path), "pt") as file:
        facts = json.loads(file.metadata()["facts"])
        return Content(facts, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


CONTENT: Codec[Content] = Codec(".safetensors", _write, _read)
