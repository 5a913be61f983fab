"""A part is killed with -9 while clients work: the run goes on by itself, to the result of an undisturbed one.

benchmarks/faults.py kills every part in every phase, and prints how long it took.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.deployment, pytest.mark.timeout(1200)]


@pytest.mark.parametrize(
    ("seed", "phase", "of", "part"), [(11, "select", "a", "worker"), (12, "train", "server", "SuperLink")]
)
def test_a_kill_changes_no_byte_of_the_result(deployment, seed, phase, of, part):
    slow = {"seed": seed, "training": {"epochs": 20.0}}  # long enough to be killed in
    deployment.killed_in(phase, of, part, **slow)
    deployment.run(f"undisturbed-{seed}", "in-process", **slow)
    assert deployment.equal(f"{phase}-{of}-{part}", f"undisturbed-{seed}")
