"""What one round of federated learning makes of the clients' answers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from clues.collaboration.messages import pack
from clues.collaboration.rounds import _strategy
from clues.errors import ProtocolError
from clues.settings import CollaborationSettings


def answers(count: int, failed: bool = False) -> list[SimpleNamespace]:
    generator = torch.Generator().manual_seed(0)
    return [
        SimpleNamespace(
            content=pack(arrays={"w": torch.randn(1000, generator=generator)}, numbers={"num-examples": 3 + node}),
            metadata=SimpleNamespace(src_node_id=node),
            has_error=lambda: failed,
            has_content=lambda: not failed,
            error=SimpleNamespace(reason="no disk space"),
        )
        for node in range(count)
    ]


@pytest.mark.parametrize("strategy", ["fedavg", "fedprox"])
def test_the_order_of_answers_does_not_change_a_bit(strategy):
    settings = CollaborationSettings(strategy=strategy)
    one, two = (
        _strategy(settings, 5).aggregate_train(1, order)[0].to_torch_state_dict()["w"]
        for order in (answers(5), answers(5)[::-1])
    )
    assert torch.equal(one, two)


def test_a_client_that_failed_ends_the_round():
    with pytest.raises(ProtocolError, match="round 2: a client failed: no disk space"):
        _strategy(CollaborationSettings(), 3).aggregate_train(2, answers(3, failed=True)[:1] + answers(3)[1:])
