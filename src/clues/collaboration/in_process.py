"""The in-process engine: a Flower Grid that calls the ClientApp directly, one client after the other.

It needs no server and no Ray, loads the base model once, and gives the same numbers as the other engines. Flower
internals are used in two places, marked below, and in no other file.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity  # internal: a Message cannot be made without it

_RUN = 1


class InProcessGrid(Grid):
    """Carries messages to clients in this process.

    Args:
        node_configs: the configuration that each client's machine would have, by node id.
    """

    def __init__(self, app: ClientApp, node_configs: Mapping[int, dict[str, Any]]) -> None:
        self._app = app
        self._contexts = {
            node: Context(run_id=_RUN, node_id=node, node_config=config, state=RecordDict(), run_config={})
            for node, config in node_configs.items()
        }
        self._replies: dict[str, Message] = {}
        _identify()

    def set_run(self, run: Any) -> None:
        raise NotImplementedError("the in-process engine runs one run only")

    @property
    def run(self) -> Any:
        raise NotImplementedError("the in-process engine runs one run only")

    def get_node_ids(self) -> Iterable[int]:
        return list(self._contexts)

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return Message(content, dst_node_id=dst_node_id, message_type=message_type, group_id=group_id, ttl=ttl)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ids = []
        for message in messages:
            delivered = copy.deepcopy(message)  # clients must not share the content object of a broadcast
            identity = f"message-{len(self._replies)}"
            delivered.metadata.__dict__["_message_id"] = identity  # internal: set by a SuperLink otherwise
            node = message.metadata.dst_node_id
            self._replies[identity] = self._app(delivered, self._contexts[node])
            ids.append(identity)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies[identity] for identity in message_ids]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return self.pull_messages(self.push_messages(messages))


def _identify() -> None:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, _RUN, 1
