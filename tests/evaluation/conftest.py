from __future__ import annotations

import pytest
import torch

from clues.models.adapters import adapter_state, attached
from clues.settings import LoraSettings


@pytest.fixture
def model(base):
    """With an adapter large enough that answers differ from prompt to prompt, and from those of the base."""
    lora = LoraSettings(r=2, alpha=4)
    generator = torch.Generator().manual_seed(5)
    with attached(base, lora) as fresh:
        state = {n: torch.randn(t.shape, generator=generator) for n, t in adapter_state(fresh).items()}
    with attached(base, lora, state) as adapted:
        yield adapted
