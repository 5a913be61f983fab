"""How text is opened: encodings, compression, and what is no text at all."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow
import pytest

from clues.data.records.text import kind, lines, read_text, stem
from clues.errors import DataError

TEXT = "naïve\nsecond ünd\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_by_its_mark(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode(encoding))
    assert "".join(lines(path)) == read_text(path) == TEXT


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf16_of_either_order_is_read_with_a_mark_and_refused_without(tmp_path, order):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffa\nb".encode(order))
    assert list(lines(path)) == ["a\n", "b"]
    path.write_bytes(b"ab".decode().encode(order))
    with pytest.raises(DataError, match="looks like UTF-16 without a byte order mark; save it as UTF-8"):
        list(lines(path))


@pytest.mark.parametrize("read", [lambda path: list(lines(path)), read_text])
def test_another_encoding_is_refused_with_line_byte_and_remedy(tmp_path, read):
    path = tmp_path / "a.csv"
    path.write_bytes(b"plain\n" * 5000 + "secret vu déjà\n".encode("cp1252") + b"plain\n")
    with pytest.raises(DataError, match=r"line 5001: is not UTF-8 text \(byte 12 of the line\)") as caught:
        read(path)
    assert "iconv -f WINDOWS-1252 -t UTF-8 a.csv" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_utf16_that_breaks_off_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("ab".encode("utf-16") + b"\x00")
    with pytest.raises(DataError, match="does not match its byte order mark"):
        read_text(path)


def test_compressed_text_is_read_whatever_its_name_says(tmp_path):
    for name in ("a.gz", "plain"):
        (tmp_path / name).write_bytes(gzip.compress(TEXT.encode()))
        assert read_text(tmp_path / name) == TEXT
    frame = pyarrow.compress(TEXT.encode(), "zstd", asbytes=True)
    (tmp_path / "a.zst").write_bytes(frame + frame)  # as `cat a.zst b.zst`
    assert list(lines(tmp_path / "a.zst")) == TEXT.splitlines(keepends=True) * 2


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer.*git lfs pull"),
        (b"/annex/objects/MD5-s1--x\n", "git-annex pointer"),
        (b"PAR1....", r"is a Parquet file; name it \.parquet"),
        (b"PK\x03\x04....", "zip archive or a workbook of Excel"),
        (b"BZh91AY", "compressed by bzip2"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, head, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(head)
    with pytest.raises(DataError, match=message):
        read_text(path)


def test_compression_is_no_part_of_kind_and_stem():
    assert [stem(name) for name in ("a/b.jsonl.gz", "b.csv", "c")] == ["b", "b", "c"]
    kinds = [kind(Path(name)) for name in ("b.JSONL.gz", "b.csv.zst", "b.parquet", "b")]
    assert kinds == [".jsonl", ".csv", ".parquet", ""]
