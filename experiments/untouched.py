"""Write the clean samples of experiments/kinds/untouched.toml: pubmedqa.jsonl, gsm8k.jsonl, medec.jsonl.

python experiments/untouched.py DATA runs/untouched

DATA is a folder with pubmedqa.jsonl (fields prompt, long_answer), and with real/ as in real/equal.toml.
"""

from __future__ import annotations

import sys
from pathlib import Path

from questions import Record, read

from clues.io.files import write_jsonl

JUDGED = {"gsm8k": "gsm8k_solutions", "medec": "medec"}


def main(data: Path, folder: Path) -> None:
    articles = [record | {"response": record["long_answer"]} for record in read(data / "pubmedqa.jsonl")]
    write_jsonl(folder / "pubmedqa.jsonl", [pair(record) for record in articles])
    for name, file in JUDGED.items():
        good = [record for record in read(data / "real" / f"{file}.jsonl") if record["quality"] == "good"]
        write_jsonl(folder / f"{name}.jsonl", [pair(record) for record in good])


def pair(record: Record) -> Record:
    return {name: record[name] for name in ("id", "prompt", "response")}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
