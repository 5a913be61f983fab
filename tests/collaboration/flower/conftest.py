"""One real deployment for all tests that need one: starting it is most of what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment import Deployment, deployed


@pytest.fixture(scope="session")
def deployment(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A server and three clients, who reach it through a proxy that records."""
    with deployed(tmp_path_factory.mktemp("deployment"), tiny_model, proxied=True) as started:
        yield started
