"""Files of scores: a row per sample, a column per measure. Only these files give column names a meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from clues.errors import OutputError
from clues.io.files import replace_whole

_ROWS = 2**16  # samples that are converted at once


class ScoreTable:
    """A file of scores. Each access reads one column.

    Raises:
        OutputError: the file is missing or broken.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow
        import pyarrow.parquet

        try:
            self._file = pyarrow.parquet.ParquetFile(path)
        except (OSError, pyarrow.ArrowException) as error:
            raise OutputError(f"{path}: cannot be read ({type(error).__name__}); remove it and score again.") from None

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    @cached_property
    def names(self) -> list[str]:
        """The columns of numbers."""
        import pyarrow

        return [field.name for field in self._file.schema_arrow if pyarrow.types.is_floating(field.type)]

    @property
    def ids(self) -> list[str]:
        ids: list[str] = self._file.read(["id"])["id"].to_pylist()
        return ids

    @property
    def note(self) -> str:
        """What a person should know of these scores; mostly nothing."""
        return str((self._file.schema_arrow.metadata or {}).get(b"note", b"").decode())

    @property
    def score(self) -> np.ndarray:
        """Higher is better: samples, float64."""
        return self["score"]

    def __getitem__(self, name: str) -> np.ndarray:
        """A column: samples, float64."""
        column: np.ndarray = np.from_dlpack(self._file.read([name])[name].combine_chunks())  # to_numpy imports pandas
        return column

    def texts(self, name: str) -> Any:
        """A column of texts, or of lists of them, as an Arrow array; None if there is no such column."""
        return self._file.read([name])[name].combine_chunks() if name in self._file.schema_arrow.names else None


def write_table(
    path: Path,
    ids: Iterator[str],
    columns: Mapping[str, Any],
    *,
    texts: Mapping[str, Any] | None = None,
    note: str = "",
) -> None:
    """Write ids and columns of equal length, arrays or tensors, as float64, and Arrow arrays of texts."""
    import pyarrow
    import pyarrow.parquet

    count, texts = len(next(iter(columns.values()))), texts or {}
    types = {**dict.fromkeys(columns, pyarrow.float64()), **{name: array.type for name, array in texts.items()}}
    schema = pyarrow.schema([("id", pyarrow.string()), *types.items()], metadata={"note": note})

    def write(part: Path) -> None:
        with pyarrow.parquet.ParquetWriter(part, schema) as writer:
            for start in range(0, max(count, 1), _ROWS):
                rows = slice(start, start + _ROWS)
                arrays = [
                    list(islice(ids, min(_ROWS, count - start))),
                    *(np.asarray(values[rows], dtype=np.float64) for values in columns.values()),
                    *(array[rows] for array in texts.values()),
                ]
                writer.write_table(pyarrow.table(arrays, schema=schema))
                pyarrow.default_memory_pool().release_unused()

    replace_whole(path, write)
