"""Parts are killed with -9 while clients work: the run goes on by itself, to the result of every other engine.

benchmarks/faults.py kills every part alone, and prints how long it took.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.stats import chisquare

from clues.merging.updates import lora_pairs, products
from clues.models.adapters import TENSORS
from deployment import IDS, results

pytestmark = [pytest.mark.deployment, pytest.mark.timeout(1200)]
CLIENTS = [("a", "worker"), ("b", "SuperNode"), ("c", "all")]
SERVER = [("server", "ServerApp"), ("server", "SuperExec"), ("server", "SuperLink"), ("run", "all")]
WHOLE_SERVER = [("server", "all")]
# Long enough to be killed in; Ray gives its own processes half a minute to start.
SLOW = {"training": {"epochs": 20.0}, "engine": {"attempts": 5}}
MASKED = {
    "privacy": {"masks": True},
    "merging": {"method": "exact", "weights": "samples"},
    "evaluation": {"arms": ["base", "selected"]},
}
only_slow = pytest.mark.skipif("CLUES_SLOW" not in os.environ, reason="takes minutes; set CLUES_SLOW=1")


def killed(deployment, seed, phase, kills, **tables) -> str:
    """The folder of a run that gave what an undisturbed one gave."""
    name = f"killed-{seed}"
    deployment.killed_in(phase, name, *kills, seed=seed, **SLOW, **tables)
    deployment.run(f"undisturbed-{seed}", "in-process", seed=seed, **SLOW, **tables)
    assert deployment.equal(name, f"undisturbed-{seed}")
    return name


def test_three_engines_give_the_same_bytes_even_if_all_parts_of_the_clients_are_killed_in_selection(deployment):
    found = {}
    for engine in ("in-process", "simulation"):
        deployment.run(engine, engine, **SLOW)
        folder = deployment.folder / engine
        found[engine] = results(folder, {client: folder / "clients" / client for client in IDS})
    deployment.killed_in("select", "deployment", *CLIENTS, **SLOW)
    found["deployment"] = results(deployment.folder / "deployment", {c: deployment.latest(c) for c in IDS})
    reference = found.pop("in-process")
    assert len(reference) == 1 + 2 + 2 * len(IDS)
    for engine, files in found.items():
        assert files.keys() == reference.keys(), engine
        assert [name for name in reference if files[name] != reference[name]] == [], engine


def test_every_part_of_the_server_is_killed_in_training_and_it_sees_noise(deployment):
    """Under masks, of which the server must not get a second set for a question that it asks again."""
    name = killed(deployment, 12, "train", SERVER, **MASKED)
    answers = [*(deployment.folder / name / "server" / "store" / "answers" / "train").iterdir()]
    assert len(answers) == len(IDS)
    sent = [load_file(file) for file in answers]
    names = sorted(sent[0].keys() - {"masks-cancel"})
    received = [np.concatenate([one[key].ravel() for key in names]).view(np.uint32) for one in sent]
    own = [np.concatenate([update[key].ravel() for key in names]) for update in map(updates, map(deployment.silo, IDS))]
    bound = 5 / np.sqrt(received[0].size)
    for words in received:
        assert chisquare(np.bincount(words.view(np.uint8), minlength=256)).pvalue > 1e-6
        assert all(abs(np.corrcoef(words.view(np.int32), update)[0, 1]) < bound for update in own)
    total = np.sum(received, axis=0, dtype=np.uint32).view(np.int32)  # what an observer without masks would see
    assert np.corrcoef(total, np.mean(own, axis=0))[0, 1] > 0.9


def updates(silo):
    """The client's latest update, which its own folder has."""
    file = max(silo.glob("clues-*/store/adapters/*"), key=lambda path: path.stat().st_mtime)
    return {name: tensor.numpy() for name, tensor in products(lora_pairs(TENSORS.read(file))).items()}


@only_slow
@pytest.mark.parametrize(
    ("seed", "phase", "kills"),
    [(13, "train", CLIENTS), (14, "select", SERVER), (15, "select", WHOLE_SERVER), (16, "train", WHOLE_SERVER)],
    ids=["clients-train", "server-select", "whole-server-select", "whole-server-train"],
)
def test_the_other_kills(deployment, seed, phase, kills):
    killed(deployment, seed, phase, kills)
