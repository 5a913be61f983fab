"""The coordinator's end of Flower's transport: it knows clients by their ids, nodes are an address."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from flwr.app import Message
from flwr.serverapp import Grid

from clues.collaboration.flower.records import answer_of, packed
from clues.collaboration.protocol import VERSION as PROTOCOL
from clues.collaboration.protocol import Content, Failure, HelloAnswer, parsed
from clues.errors import ProtocolError
from clues.io.progress import say
from clues.settings import EngineSettings

_POLL = 0.5  # seconds
_NOT_TAKEN = Failure("the SuperLink did not take the message to it")
_HELLO = 120.0  # seconds that a node has to say who it is; the first message may start a process there


class FlowerChannel:
    """Carries messages to the clients of a SuperLink.

    A node that is registered under a name is the client of that name, whatever it says of itself.
    """

    def __init__(self, grid: Grid, settings: EngineSettings) -> None:
        self._grid, self._settings = grid, settings
        self._nodes: dict[str, int] = {}
        self._refused: set[int] = set()

    def meet(self, expected: Sequence[str], settings: EngineSettings) -> dict[str, str]:
        """Wait until the expected clients have said who they are."""
        say(f"Waiting for {', '.join(sorted(expected))}.")
        end = time.monotonic() + settings.wait
        while set(expected) - self._nodes.keys() and time.monotonic() < end:
            self._look(expected)
            time.sleep(_POLL)
        late = sorted(set(expected) - self._nodes.keys())
        return dict.fromkeys(late, f"was not there within {settings.wait:.0f} seconds")

    def deliver(self, kind: str, contents: Mapping[str, Content], *, seconds: float) -> Mapping[str, Content | Failure]:
        self._find_again(contents)
        there = {client: content for client, content in contents.items() if client in self._nodes}
        replies = self._exchange(kind, {self._nodes[c]: content for c, content in there.items()}, seconds=seconds)
        gone: Content | Failure = Failure("its node is gone")
        return {client: replies[self._nodes[client]] if client in there else gone for client in contents}

    def _find_again(self, wanted: Mapping[str, Content]) -> None:
        """Look for clients whose node is gone: it may come back, also under another number."""
        online = {node.node_id for node in self._online()}
        gone = [client for client in wanted if self._nodes.get(client) not in online]
        for client in gone:
            self._nodes.pop(client, None)
        if gone:
            self.meet([*self._nodes, *gone], self._settings)

    def _look(self, expected: Sequence[str]) -> None:
        """Ask new nodes who they are."""
        known = {*self._nodes.values(), *self._refused}
        new = [node for node in self._online() if node.node_id not in known and node.name in ("", *expected)]
        names = {node.node_id: node.name for node in new}
        hello = Content({}, {})
        for node, answer in self._exchange("hello", dict.fromkeys(names, hello), seconds=_HELLO).items():
            client = _introduced(answer, names[node])
            if client is None:
                continue  # it is asked again
            if client not in expected:
                say(f"Refusing {client}: it is not one of this run's clients.")
                self._refused.add(node)
            elif client in self._nodes:
                raise ProtocolError(f"two clients say that they are {client}; stop one of them, then run again.")
            else:
                self._nodes[client] = node
                say(f"{client} is there.")

    def _online(self) -> list[Any]:
        get_nodes = getattr(self._grid, "get_nodes", None)  # not in Flower's interface, but in its SuperLink's grid
        if get_nodes is None:
            return [_Unnamed(node) for node in self._grid.get_node_ids()]
        return list(get_nodes())

    def _exchange(self, kind: str, contents: Mapping[int, Content], *, seconds: float) -> dict[int, Content | Failure]:
        """Answers by node; late ones are failures."""
        if not contents:
            return {}
        messages = [
            Message(packed(content), message_type=f"query.{kind}", dst_node_id=node, ttl=seconds)
            for node, content in contents.items()
        ]
        sent = list(self._grid.push_messages(messages)) or [None] * len(messages)  # nothing if they are too large
        answers: dict[int, Content | Failure] = {
            node: _NOT_TAKEN for number, node in zip(sent, contents, strict=True) if number is None
        }
        waiting = {number: node for number, node in zip(sent, contents, strict=True) if number is not None}
        end = time.monotonic() + seconds
        while waiting and time.monotonic() < end:
            for reply in self._grid.pull_messages(list(waiting)):
                node = waiting.pop(reply.metadata.reply_to_message_id, None)  # an error's source is the SuperLink
                if node is not None:
                    answers[node] = answer_of(reply)
            if waiting:
                time.sleep(_POLL)
        late: Content | Failure = Failure(f"it did not answer within {seconds:.0f} seconds")
        return {node: answers.get(node, late) for node in contents}


class _Unnamed:
    """A node of a simulation."""

    name = ""

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id


def _introduced(answer: Content | Failure, name: str) -> str | None:
    """The client behind a node; None if it did not say.

    Raises:
        ProtocolError: it is registered under another name, or speaks another version.
    """
    if isinstance(answer, Failure):
        return None
    facts = parsed(HelloAnswer, answer.facts, what="hello")
    if facts.protocol != PROTOCOL:
        raise ProtocolError(f"{facts.id}: speaks version {facts.protocol} of the protocol, not {PROTOCOL}; update it.")
    if name and name != facts.id:
        raise ProtocolError(f"the node registered as {name} says that it is {facts.id}; correct the id in its file.")
    return facts.id
