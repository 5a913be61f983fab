"""Opening text files: plain, gzip or zstd, in UTF-8, UTF-16 or UTF-32. Errors name the place of the fault."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from clues.errors import DataError

COMPRESSED = (".gz", ".zst")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_POINTERS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself; fetch that by: git lfs pull",
    b"/annex/objects/": "is a git-annex pointer, not the file itself; fetch that by: git annex get",
}
_OTHER_KINDS = {
    b"PAR1": "is a Parquet file; name it .parquet",
    b"PK\x03\x04": "is a zip archive or a workbook of Excel; unpack it, or save it as CSV in UTF-8",
    b"%PDF": "is a PDF; give its text as JSON Lines",
    b"BZh": "is compressed by bzip2; unpack it, or use gzip",
    b"\xfd7zXZ": "is compressed by xz; unpack it, or use gzip",
    b"ARROW1": "is an Arrow file; name the folder that datasets saved, or write Parquet",
}
# Longest first: the byte order mark of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def stem(source: str | Path) -> str:
    """The name of a file without folder, kind and compression: `a/b.jsonl.gz` → `b`."""
    path = Path(source)
    return Path(path.stem).stem if path.suffix.lower() in COMPRESSED else path.stem


def kind(path: Path) -> str:
    """The suffix of a file's format, without that of its compression: `b.jsonl.gz` → `.jsonl`."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() in COMPRESSED else path.suffix.lower()


def check_pointer(path: Path) -> None:
    """Raises DataError if the file is a pointer of Git LFS or git-annex."""
    with path.open("rb") as stream:
        head = stream.read(32)
    _refuse(path, head, kinds=_POINTERS)


def open_text(path: Path, newline: str | None = None) -> TextIO:
    """Open for reading, in the encoding of the file's byte order mark, or else UTF-8.

    Args:
        newline: as of `open`; None ends lines at `\\n`, `\\r\\n` and `\\r`.

    Raises:
        DataError: the file is a pointer, of another kind, or UTF-16 without a byte order mark.
    """
    check_pointer(path)
    with _binary(path) as stream:
        head = stream.read(64)
    _refuse(path, head, kinds=_OTHER_KINDS)
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in head[:4]:
        raise DataError(f"{path}: looks like UTF-16 without a byte order mark; save it as UTF-8.")
    return io.TextIOWrapper(_binary(path), encoding=encoding, newline=newline)


def lines(path: Path, newline: str | None = None) -> Iterator[str]:
    """Yield the lines of a file unchanged, with their line ends, one at a time.

    Raises:
        DataError: as `open_text`, or the text is in another encoding; names line and byte.
    """
    try:
        with open_text(path, newline) as stream:
            yield from stream
    except UnicodeError:
        raise _not_decodable(path) from None


def read_text(path: Path) -> str:
    """The full text of a file. Raises DataError as `lines` does."""
    try:
        with open_text(path) as stream:
            return stream.read()
    except UnicodeError:
        raise _not_decodable(path) from None


def _binary(path: Path) -> Any:
    """Open the uncompressed bytes of a file. The compression is that of its first bytes, not of its name."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if head.startswith(_GZIP):
        return gzip.open(path, "rb")
    if head == _ZSTD:
        import pyarrow

        # The standard library has no zstd before Python 3.14.
        return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def _refuse(path: Path, head: bytes, *, kinds: dict[bytes, str]) -> None:
    for mark, problem in kinds.items():
        if head.startswith(mark):
            raise DataError(f"{path}: {problem}.")


def _not_decodable(path: Path) -> DataError:
    """The error that names the first undecodable byte; reads the file again."""
    with _binary(path) as stream:
        head = stream.read(4)
    if any(head.startswith(mark) for mark in _MARKS if mark != codecs.BOM_UTF8):
        return DataError(f"{path}: its text is truncated or does not match its byte order mark; save it as UTF-8.")
    with _binary(path) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return DataError(
                    f"{path}, line {number}: is not UTF-8 text (byte {error.start + 1} of the line); convert the file, "
                    f"for example by: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8-{path.name}"
                )
    return DataError(f"{path}: is not UTF-8 text; convert it to UTF-8.")
