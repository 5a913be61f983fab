"""The coordinator's end of the transport, with a grid that is told who is there and what they answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from flwr.app import Error, Message
from flwr.supercore.task_identity import TaskIdentity

from clues.collaboration.flower import channel as module
from clues.collaboration.flower.channel import FlowerChannel
from clues.collaboration.flower.records import reply_to
from clues.collaboration.protocol import VERSION, Content, Failure
from clues.errors import ProtocolError
from clues.settings import EngineSettings

Answer = Callable[[Message], Message | None]


@dataclass
class Grid:
    """`nodes`: (name of registration, how it answers) by number."""

    nodes: dict[int, tuple[str, Answer]]
    sent: list[tuple[int, str]] = field(default_factory=list)
    _waiting: dict[str, Message] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)

    def get_nodes(self):
        return [SimpleNamespace(node_id=node, name=name) for node, (name, _) in self.nodes.items()]

    def push_messages(self, messages):
        return [self._push(message) for message in messages]

    def _push(self, message):
        node = message.metadata.dst_node_id
        self.sent.append((node, message.metadata.message_type))
        if node not in self.nodes:
            return None
        number = str(next(self._numbers))
        message.metadata.__dict__["_message_id"] = number
        reply = self.nodes[node][1](message)
        if reply is not None:
            self._waiting[number] = reply
        return number

    def pull_messages(self, numbers):
        return [self._waiting.pop(number) for number in list(numbers) if number in self._waiting]


def says(client: str, protocol: int = VERSION) -> Answer:
    """A node that says who it is, and to other questions, who was asked."""
    facts = {"id": client, "protocol": protocol, "version": "1"}
    return lambda message: reply_to(
        message, Content(facts if message.metadata.message_type == "query.hello" else {"of": client}, {})
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    monkeypatch.setattr(module, "_POLL", 0.001)
    monkeypatch.setattr(module, "_HELLO", 0.05)


def met(
    nodes: dict[int, tuple[str, Answer]], *expected: str, wait: float = 0.2
) -> tuple[FlowerChannel, Grid, dict[str, str]]:
    grid, settings = Grid(nodes), EngineSettings(wait=wait)
    channel = FlowerChannel(grid, settings)
    return channel, grid, channel.meet(expected, settings)


def test_clients_are_addressed_by_their_ids():
    channel, grid, late = met({7: ("b", says("b")), 9: ("", says("a"))}, "a", "b")
    assert late == {}
    asked = {client: Content({}, {}) for client in ("a", "b")}
    assert channel.deliver("judge", asked, seconds=1) == {c: Content({"of": c}, {}) for c in ("a", "b")}
    assert grid.sent[-2:] == [(9, "query.judge"), (7, "query.judge")]


def test_who_is_not_there_is_named():
    assert met({7: ("a", says("a"))}, "a", "b")[2] == {"b": "was not there within 0 seconds"}


def test_a_stranger_is_asked_once_and_gets_no_other_message():
    channel, grid, _ = met({1: ("", says("x")), 2: ("y", says("y")), 7: ("a", says("a"))}, "a", "b")
    channel.deliver("judge", {"a": Content({}, {})}, seconds=1)
    assert [kind for node, kind in grid.sent if node == 1] == ["query.hello"]
    assert [kind for node, kind in grid.sent if node == 2] == []  # registered as someone who is not expected


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ({1: ("", says("a")), 2: ("", says("a"))}, "two clients say that they are a"),
        ({1: ("b", says("a"))}, "registered as b says that it is a"),
        ({1: ("a", says("a", protocol=99))}, "speaks version 99 of the protocol"),
        ({1: ("a", lambda message: reply_to(message, Content({"id": "../a"}, {})))}, "do not follow the protocol"),
    ],
)
def test_an_impostor_ends_the_run(nodes, sentence):
    with pytest.raises(ProtocolError, match=sentence):
        met(nodes, "a", "b")


def test_a_client_that_comes_back_under_another_number_is_found():
    channel, grid, _ = met({7: ("a", says("a"))}, "a")
    grid.nodes = {8: ("a", says("a"))}
    assert channel.deliver("judge", {"a": Content({}, {})}, seconds=1) == {"a": Content({"of": "a"}, {})}


def test_a_client_that_is_gone_or_late_or_fails_has_a_failure_and_others_their_answers():
    nodes = {node: (client, says(client)) for node, client in ((1, "a"), (2, "b"), (3, "c"), (4, "d"))}
    channel, grid, _ = met(nodes, "a", "b", "c", "d", wait=0.05)
    grid.nodes[2] = ("b", lambda message: None)
    grid.nodes[3] = ("c", lambda message: Message(Error(5, "private"), reply_to=message))
    del grid.nodes[4]
    answers = channel.deliver("judge", {client: Content({}, {}) for client in "abcd"}, seconds=0.05)
    assert answers["a"] == Content({"of": "a"}, {})
    reasons = {client: answer.reason for client, answer in answers.items() if isinstance(answer, Failure)}
    assert reasons == {
        "b": "it did not answer within 0 seconds",
        "c": "its node cannot be reached",
        "d": "its node is gone",
    }


def test_an_answer_is_taken_once_and_for_its_own_question_only():
    """A client that was late and is asked again sends the answer to the first question, then two to the second."""
    asked: list[Message] = []
    channel, grid, _ = met({1: ("a", says("a"))}, "a")
    grid.nodes[1] = ("a", lambda message: asked.append(message))
    grid.pull_messages = lambda numbers: [
        reply_to(asked[which], Content({"answer": text}, {}))
        for which, text in ((0, "late"), (1, "new"), (1, "second"))
        if len(asked) == 2
    ]
    found = [channel.deliver("judge", {"a": Content({}, {})}, seconds=0.05)["a"] for _ in range(2)]
    assert found == [Failure("it did not answer within 0 seconds"), Content({"answer": "new"}, {})]


def test_what_the_superlink_does_not_take_is_a_failure():
    channel, grid, _ = met({1: ("a", says("a"))}, "a")
    grid.push_messages = lambda messages: []  # Flower's answer to what is too large
    answer = channel.deliver("judge", {"a": Content({}, {})}, seconds=0.05)["a"]
    assert answer == Failure("the SuperLink did not take the message to it")
