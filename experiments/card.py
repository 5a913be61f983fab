"""Pollution, medical and judged data at the paper's size, by federated learning, for one graphics card.

    python experiments/card.py DATA
    python experiments/card.py DATA --clients 2 --samples 8 --rounds 2 --set model.id=MODEL    # to try it

DATA is a folder with medquad.jsonl and real/*.jsonl, as for run_all.sh. Twenty clients of up to 800 samples train the
embedded model of 135M parameters for 300 rounds of two steps. Further arguments are those of `clues compare`. Stopped
and started again, it goes on. `python experiments/results.py runs` takes the rows in. It has been tried with tiny
models, and not yet on a card.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

RUNS = Path("runs")
SHARES = ("0", "0.2", "0.5", "0.8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--samples", type=int, default=800, help="the most per client")
    parser.add_argument("--rounds", type=int, default=300)
    options, further = parser.parse_known_args()
    shares = ",".join(SHARES[number % len(SHARES)] for number in range(options.clients))
    medquad, judged = str(options.data / "medquad.jsonl"), str(options.data / "real" / "*.jsonl")
    dealt = ["--clients", str(options.clients), "--per-client", str(options.samples)]
    experiments = {
        "card-pollution": [medquad, "--shares", shares],
        "card-medical": [medquad, "--shares", "0.5", "--dirichlet", "1"],
        "card-judged": [judged, "--judged", "--validation", "8", "--anchors", "6", "--tests", "8"],
    }
    for name, arguments in experiments.items():
        data = RUNS / f"{name}-data"
        if not data.is_dir():
            part = data.with_suffix(".part")  # a partition that was stopped leaves no folder of this name
            clues("partition", *arguments, *dealt, "--out", str(part))
            part.rename(data)
        settings = RUNS / f"{name}.toml"
        settings.write_text(described(data, rounds=options.rounds), encoding="utf-8")
        clues("compare", str(settings), "--out", str(RUNS / name), *further)


def described(data: Path, *, rounds: int) -> str:
    """The settings of a comparison of the clients in a folder, as TOML."""
    clients = sorted(file.name.removesuffix(".labels.jsonl") for file in data.glob("*.labels.jsonl"))
    owned = [
        f'[[clients]]\nid = "{client}"\ndata = "{data / client}.jsonl"\nlabels = "{data / client}.labels.jsonl"\n'
        for client in clients
    ]
    return f"""\
validation = ["{data / "validation.jsonl"}"]
anchors = ["{data / "anchors.jsonl"}"]

[compare]
methods = ["auto", "paper", "ppl"]
modes = ["federated"]
seeds = [1]

[model]
dtype = "bfloat16"

[training]
steps = {2 * rounds}
checkpoints = 1

[collaboration]
rounds = {rounds}

[evaluation]
tests = ["{data / "test.jsonl"}"]
arms = ["base", "mixed", "selected", "oracle"]

{"".join(owned)}"""


def clues(*arguments: str) -> None:
    if code := subprocess.run([sys.executable, "-m", "clues", *arguments]).returncode:
        raise SystemExit(code)


if __name__ == "__main__":
    main()
