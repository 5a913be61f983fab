"""Write the multiple-choice questions of experiments/kinds/knowledge.toml, 100 of each set.

python experiments/questions.py DATA runs/knowledge-data

DATA is a folder with pubmedqa.jsonl and frenchmedmcqa.jsonl (fields prompt, choices, answer), and with real/ as in
real/equal.toml. Of the exam questions there, those are taken whose key all experts found right.
"""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path
from typing import Any

from clues.io.files import write_jsonl

COUNT = 100
QUESTIONS = ("pubmedqa", "frenchmedmcqa")
EXAMS = {"medqa": ("medqa_relabelled", "label-agreed"), "mmlu": ("mmlu_redux", "ok")}
Record = dict[str, Any]


def main(data: Path, folder: Path) -> None:
    for name in QUESTIONS:
        write_jsonl(folder / f"{name}.jsonl", drawn(read(data / f"{name}.jsonl")))
    for name, (file, kind) in EXAMS.items():
        agreed = [record for record in read(data / "real" / f"{file}.jsonl") if record["kind"] == kind]
        questions = [question for record in agreed if (question := as_question(record))]
        print(f"{name}: {len(questions)} of {len(agreed)} questions can be read")
        write_jsonl(folder / f"{name}.jsonl", drawn(questions))


def read(file: Path) -> list[Record]:
    with file.open(encoding="utf-8") as lines:  # str.splitlines would also split at U+2028 within a text
        return [json.loads(line) for line in lines]


def drawn(questions: list[Record]) -> list[Record]:
    return random.Random(1).sample(questions, COUNT)


def as_question(record: Record) -> Record | None:
    """The options are the last lines of the prompt: "A. …", "B. …". None unless exactly one is the response."""
    prompt, *lines = re.split(r"\n(?=[A-E]\. )", record["prompt"].strip())
    choices = [line[3:].strip() for line in lines]
    if choices.count(record["response"].strip()) != 1:
        return None
    question = {"prompt": prompt.strip(), "choices": choices, "answer": choices.index(record["response"].strip())}
    return {"id": record["id"], **question}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
