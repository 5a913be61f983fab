"""Write the demo's clean definitions, clinical.jsonl and financial.jsonl, for experiments/kinds.

python experiments/definitions.py runs/definitions
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from clues.io.files import write_jsonl
from clues.lab.definitions import as_records, clinical, financial


def main(folder: Path) -> None:
    write_jsonl(folder / "clinical.jsonl", as_records(clinical(), "medical", rng=random.Random(1)))
    write_jsonl(folder / "financial.jsonl", as_records(financial(), "financial", rng=random.Random(1)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
