"""The coordinator's side of messages: clients are asked together, asked again, and left out where a quorum remains."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel
from torch import Tensor

from clues.collaboration.items import items_of
from clues.collaboration.ledger import Received
from clues.collaboration.memory import CONTENT
from clues.collaboration.protocol import Content, Failure, parsed, plain
from clues.errors import ProtocolError
from clues.io.digests import value_digest
from clues.io.progress import say
from clues.io.store import Store
from clues.settings import EngineSettings

A = TypeVar("A", bound=BaseModel)


class Channel(Protocol):
    """What carries messages: an engine."""

    def meet(self, expected: Sequence[str], settings: EngineSettings) -> dict[str, str]:
        """Wait until the expected clients are there; returns why others are not, by client.

        Raises:
            ProtocolError: two clients say that they are the same one, or one is not expected.
        """

    def deliver(self, kind: str, contents: Mapping[str, Content], *, seconds: float) -> Mapping[str, Content | Failure]:
        """Send every client its message and return the answers by client. A late client has a failure."""


@dataclass(frozen=True)
class Answer(Generic[A]):
    facts: A
    arrays: Mapping[str, Tensor]


@dataclass
class Clients:
    """The clients of a run. What they answered is kept in `memory`, if there is one, and not asked again.

    `absent`: those that are left out, with the phase and the reason. They are not asked again in this run.
    """

    channel: Channel
    expected: Sequence[str]
    settings: EngineSettings
    memory: Store | None = None
    received: Received | None = None
    absent: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def present(self) -> list[str]:
        """In the order of their ids, so that floating-point sums do not depend on the order of answers."""
        return [client for client in sorted(self.expected) if client not in self.absent]

    def meet(self) -> None:
        """Wait for the clients. Raises ProtocolError if there are fewer than the quorum."""
        self._leave_out("hello", self.channel.meet(self.expected, self.settings))

    def ask(
        self,
        kind: str,
        question: BaseModel,
        answer: type[A],
        *,
        arrays: Mapping[str, Tensor] | None = None,
        check: Callable[[Answer[A]], str | None] = lambda answer: None,
    ) -> dict[str, Answer[A]]:
        """Ask all clients that are present; returns their answers in the order of their ids.

        Args:
            arrays: sent to each client. check: what is wrong with an answer of the right form, if anything.

        Raises:
            ProtocolError: fewer clients than the quorum answered; names the others, with their reasons.
        """
        content = Content(json.loads(json.dumps(plain(question))), dict(arrays or {}))
        return self.ask_each(kind, dict.fromkeys(self.present, content), answer, check=check)

    def ask_each(
        self,
        kind: str,
        contents: Mapping[str, Content],
        answer: type[A],
        *,
        check: Callable[[Answer[A]], str | None] = lambda answer: None,
    ) -> dict[str, Answer[A]]:
        """The same with a message for each client."""
        inputs = self._inputs(kind, contents)
        answers: dict[str, Answer[A]] = {}
        for client, key in inputs.items():
            known = self.memory.find(f"answers/{kind}", key, codec=CONTENT) if self.memory else None
            if known:
                answers[client] = Answer(parsed(answer, known.facts, what="a kept answer"), known.arrays)
        failed: dict[str, str] = {}
        for attempt in range(self.settings.attempts):
            asked = {client: content for client, content in contents.items() if client not in answers}
            if attempt and asked:
                say(f"Asking {', '.join(asked)} again: {_listed(failed)}.")
            replies = self.channel.deliver(kind, asked, seconds=self.settings.deadline) if asked else {}
            failed = {}
            for client in asked:
                reply = replies.get(client, Failure("no answer"))
                if isinstance(reply, Content) and not isinstance(reply.facts, Mapping):
                    reply = Failure("its answer is not one of the protocol")
                if self.received and isinstance(reply, Content):
                    self.received.write(client, kind, items_of(*reply))
                result = _accepted(reply, answer, check=check, what=kind)
                if isinstance(result, Answer):
                    answers[client] = result
                    if client in inputs and self.memory:
                        self.memory.get(f"answers/{kind}", inputs[client], compute=lambda: reply, codec=CONTENT)  # type: ignore[arg-type,return-value]  # noqa: B023
                else:
                    failed[client] = result.reason
        self._leave_out(kind, failed)
        return {client: answers[client] for client in sorted(answers)}

    def _inputs(self, kind: str, contents: Mapping[str, Content]) -> dict[str, list[str]]:
        """What identifies a client's answer. Whether a client is prepared is asked anew in every run."""
        if self.memory is None or kind == "prepare":
            return {}
        digests: dict[int, str] = {}  # most clients are sent the same content
        keys = {}
        for client, content in contents.items():
            if id(content) not in digests:
                digests[id(content)] = value_digest([kind, content.facts, dict(content.arrays)])
            keys[client] = [digests[id(content)], client]
        return keys

    def _leave_out(self, kind: str, failed: Mapping[str, str]) -> None:
        quorum = self.settings.quorum or len(self.expected)
        left = len(self.present) - len(failed)
        if failed and left < quorum:
            few = f"{left} of {len(self.expected)} clients are left, and engine.quorum is {quorum}"
            raise ProtocolError(f"{kind}: a client failed: {_listed(failed)}; {few}. Mend it, then run again.")
        for client, reason in failed.items():
            say(f"Going on without {client}, which failed in {kind}: {reason}.")
            self.absent[client] = {"phase": kind, "reason": reason}


def _accepted(
    reply: Content | Failure, answer: type[A], *, check: Callable[[Answer[A]], str | None], what: str
) -> Answer[A] | Failure:
    if isinstance(reply, Failure):
        return reply
    try:
        result = Answer(parsed(answer, reply.facts, what=f"its answer to {what}"), reply.arrays)
    except ProtocolError as error:
        return Failure(str(error).removesuffix("."))
    wrong = check(result)
    return Failure(f"its answer is refused: {wrong}") if wrong else result


def _listed(failed: Mapping[str, str]) -> str:
    return "; ".join(f"{client}: {reason.rstrip('.')}" for client, reason in failed.items())
