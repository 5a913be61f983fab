"""The messages between server and clients: their kinds, and their content to and from Flower records.

query.describe   → id, samples, unusable records, labels  (counts only)
train.select     public samples, settings [, checkpoints] → anchor scores, counts of findings [, adapter]
query.judge      thresholds, the chosen one first; checks that drop → kept and dropped counts [, metrics given labels]
train            arm, threshold [, adapter] → adapter, number of samples

With merging.weights = quality, the expected number of good ones among these samples goes with their number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from torch import Tensor

DESCRIBE, SELECT, JUDGE, FIT = "query.describe", "train.select", "query.judge", "train"
ANCHOR_COLUMNS = ("score", "paper", "dot", "cosine")  # what a client sends for each anchor
_CONFIG, _ARRAYS, _METRICS = "config", "arrays", "metrics"


def pack(
    facts: Mapping[str, Any] | None = None,
    *,
    arrays: Mapping[str, Tensor] | None = None,
    numbers: Mapping[str, int | float | list[float]] | None = None,
) -> RecordDict:
    """Records under the keys that Flower's strategies expect. Tensors must be float32 or float16."""
    records: dict[str, Any] = {}
    if facts is not None:
        records[_CONFIG] = strategy_facts(facts)
    if arrays is not None:
        records[_ARRAYS] = ArrayRecord(dict(arrays))
    if numbers is not None:
        records[_METRICS] = MetricRecord(dict(numbers))
    return RecordDict(records)


def facts_of(content: RecordDict) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(content[_CONFIG]["facts"])
    return value


def strategy_facts(facts: Mapping[str, Any]) -> ConfigRecord:
    """Facts as the `train_config` of a Flower strategy, which adds its own keys."""
    return ConfigRecord({"facts": json.dumps(facts)})


def strategy_number(content: RecordDict, name: str, *, default: float) -> float:
    """A number that a Flower strategy adds to the configuration of a round, such as `proximal-mu`."""
    return float(content[_CONFIG].get(name, default))


def arrays_of(content: RecordDict) -> dict[str, Tensor]:
    if _ARRAYS not in content:
        return {}
    return dict(content[_ARRAYS].to_torch_state_dict())


def numbers_of(content: RecordDict) -> dict[str, Any]:
    return dict(content[_METRICS])


def in_order(replies: Iterable[Message]) -> list[Message]:
    """Sorted by node, so that floating-point sums do not depend on the order of answers."""
    return sorted(replies, key=lambda reply: reply.metadata.src_node_id)


def ledger_items(message: Message) -> dict[str, tuple[Any, bytes]]:
    """Every item of a message, by name: (shape, the bytes sent)."""
    items: dict[str, tuple[Any, bytes]] = {}
    for key, record in message.content.items():
        for name, value in record.items():
            if isinstance(record, ArrayRecord):
                items[f"{key}.{name}"] = (list(value.shape), value.data)
            else:
                length = len(value) if isinstance(value, list) else 1
                items[f"{key}.{name}"] = ([length], json.dumps(value).encode())
    return items
