from __future__ import annotations

import importlib.util

import pytest

from clues.errors import ConfigError
from clues.review.server import check_installed, listening


def test_a_port_in_use_is_told_in_one_sentence():
    with listening(0) as first:
        host, port = first.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(ConfigError, match=rf"--port {port}: cannot be used \(Address"):
            listening(port)


def test_a_missing_package_is_named_with_its_installation(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"install it by: pip install 'nicegui"):
        check_installed()
