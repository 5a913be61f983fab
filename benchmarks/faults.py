"""Every part of a deployment is killed with -9 in every phase: how long it takes, and whether the result is the same.

    python benchmarks/faults.py [PART ...]      (about three minutes a kill on two cores)

A server and three clients run on loopback addresses over TLS, with a random model of two layers.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from conftest import make_tiny_model
from deployment import Deployment, deployed

KILLS: dict[str, list[tuple[str, str]]] = {
    "nothing": [],
    "worker": [("a", "worker")],
    "SuperNode": [("a", "SuperNode")],
    "SuperLink": [("server", "SuperLink")],
    "SuperExec": [("server", "SuperExec")],
    "ServerApp": [("server", "ServerApp")],
    "clues run": [("run", "all")],
    "clues client start": [("a", "all")],
    "clues server start": [("server", "all")],
}


def main(chosen: list[str]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="clues-faults-"))
    try:
        with deployed(folder, make_tiny_model(folder / "model")) as deployment:
            print("| killed with -9 | in | s until the phase is over | result |\n|---|---|---|---|")
            for phase in ("select", "train"):
                for name in chosen or KILLS:
                    row(deployment, name, phase=phase)
    finally:
        shutil.rmtree(folder)


def row(deployment: Deployment, name: str, *, phase: str) -> None:
    seed = len(list(deployment.folder.glob("*.toml"))) + 1  # of a job that no client knows
    slow = {"seed": seed, "training": {"epochs": 20.0}}
    seconds = deployment.killed_in({phase: KILLS[name]}, f"killed-{seed}", **slow)[phase]
    deployment.run(f"undisturbed-{seed}", "in-process", **slow)
    same = deployment.equal(f"killed-{seed}", f"undisturbed-{seed}")
    print(f"| {name} | {phase} | {seconds:.0f} | {'equal' if same else 'different'} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
