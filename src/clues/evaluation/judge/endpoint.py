"""Asking a judge: an OpenAI-compatible endpoint, through the official client. No reply is ever asked for twice."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from typing import Any

from clues.errors import CluesError, ConfigError, EvaluationError
from clues.evaluation.judge.prompts import Messages
from clues.io.progress import say, task
from clues.io.store import JSON, Store
from clues.settings import JudgeSettings

_GREETING: Messages = [{"role": "user", "content": "Reply with the word ready."}]
_BYTES_PER_TOKEN = 4  # of UTF-8, roughly, in any script
_ABOUT_ONE_REQUEST = (400, 413, 422)  # statuses that do not concern other requests: too long, or filtered


def check_judge(settings: JudgeSettings) -> None:
    """Whether the client is installed and the API key is there.

    Raises:
        ConfigError: they are not.
    """
    _package()
    _key(settings)


def greet_judge(settings: JudgeSettings, store: Store) -> None:
    """Ask for one word, so that a wrong URL, key, model or field of the request is told before any long work.

    Raises:
        EvaluationError: the judge does not answer.
    """

    def greet() -> str:
        with _client(settings) as client:
            return _reply(client, settings, _GREETING, strict=True)

    store.get("judgements", _inputs(settings, _GREETING), compute=greet, codec=JSON)


def replies(questions: Sequence[Messages], settings: JudgeSettings, store: Store) -> list[str]:
    """The judge's reply to each question; empty if the endpoint refuses that question alone.

    The cost of what is not in the store is estimated first. Each reply is stored when it arrives.

    Raises:
        EvaluationError: the judge stops answering, which loses no reply; or the estimate is above the budget.
    """
    distinct = list({json.dumps(question): question for question in questions}.values())
    missing = [question for question in distinct if _known(question, settings, store) is None]
    if missing:
        _ask(missing, settings, store, known=len(distinct) - len(missing))
    return [_known(question, settings, store) or "" for question in questions]


def _known(question: Messages, settings: JudgeSettings, store: Store) -> str | None:
    return store.find("judgements", _inputs(settings, question), codec=JSON)


def _ask(missing: Sequence[Messages], settings: JudgeSettings, store: Store, *, known: int) -> None:
    """Ask, and store each reply; questions that the endpoint refuses alone have none."""
    _tell_cost(missing, settings, known=known)
    total = known + len(missing)
    with _client(settings) as client:

        def judged(question: Messages) -> None:
            compute = partial(_reply, client, settings, question)
            with suppress(_RefusedError):
                store.get("judgements", _inputs(settings, question), compute=compute, codec=JSON)

        pool = ThreadPoolExecutor(settings.concurrency)
        futures = [pool.submit(judged, question) for question in missing]
        try:
            with task(f"judging by {settings.model}", total, done=known) as shown:
                for done, future in enumerate(as_completed(futures), start=known + 1):
                    future.result()
                    shown.advance(done)
        except CluesError as error:
            pool.shutdown(cancel_futures=True)  # waits for the replies under way, and keeps them
            kept = known + sum(_known(question, settings, store) is not None for question in missing)
            raise EvaluationError(
                f"{error}, then run the same command again: {kept} of {total} judgements are kept."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _inputs(settings: JudgeSettings, question: Messages) -> list[Any]:
    """What a reply depends on."""
    return [settings.url, settings.model, settings.request, question]


def _client(settings: JudgeSettings) -> Any:
    """The official client, which repeats what may succeed later, waiting longer each time."""
    return _package().OpenAI(
        base_url=settings.url, api_key=_key(settings), timeout=settings.timeout, max_retries=settings.retries
    )


class _RefusedError(Exception):
    """The endpoint refuses one question."""


def _reply(client: Any, settings: JudgeSettings, question: Messages, *, strict: bool = False) -> str:
    """Ask one question.

    Args:
        strict: whether refusing this question means that no question can be asked.
    """
    openai = _package()
    try:
        completion = client.chat.completions.create(
            model=settings.model, messages=question, extra_body=settings.request
        )
        return completion.choices[0].message.content or ""
    except openai.APITimeoutError:
        problem, remedy = f"no answer within {settings.timeout:g} s", "start it, or raise evaluation.judge.timeout"
    except openai.APIConnectionError:
        problem, remedy = "no connection", "start it, or change the URL"
    except openai.APIStatusError as error:
        if error.status_code in _ABOUT_ONE_REQUEST and not strict:
            raise _RefusedError from None
        problem = f"status {error.status_code}: {_shown(error.message, settings)}"
        remedy = _remedy(error.status_code)
    except (openai.OpenAIError, AttributeError, IndexError, TypeError, ValueError):  # such as a page of HTML
        problem, remedy = "what it sends is no chat completion", "give the base URL, which often ends in /v1"
    raise EvaluationError(f"evaluation.judge: {settings.url} does not judge ({problem}); {remedy}")


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "check the key in the variable that evaluation.judge.key_env names"
    if status == 404:
        return "check evaluation.judge.url and evaluation.judge.model"
    if status in _ABOUT_ONE_REQUEST:
        return "change evaluation.judge.request"
    if status == 429:
        return "wait, or lower evaluation.judge.concurrency"
    return "wait until it works"


def _shown(message: str, settings: JudgeSettings) -> str:
    """The beginning of an endpoint's message, without the key, which some repeat."""
    return " ".join(message.replace(_key(settings), "***").split())[:200].rstrip(".")


def _tell_cost(missing: Sequence[Messages], settings: JudgeSettings, *, known: int) -> None:
    """Say what the missing judgements will take. Raises EvaluationError if that is above the budget."""
    sent = sum(len(turn["content"].encode()) for question in missing for turn in question) // _BYTES_PER_TOKEN
    received = settings.most_tokens and settings.most_tokens * len(missing)
    line = (
        f"Judge {settings.model} at {settings.url}: {len(missing)} judgements to ask for, {known} known; about "
        f"{sent:,} tokens to send and {f'at most {received:,}' if received else 'any number'} to receive"
    )
    if received and settings.input_price is not None and settings.output_price is not None:
        cost = (sent * settings.input_price + received * settings.output_price) / 1e6
        line += f", at a cost of at most about {cost:.2f}"
        if settings.budget is not None and cost > settings.budget:
            raise EvaluationError(
                f"{line}, which is above evaluation.judge.budget = {settings.budget:g}; raise it, or lower "
                "evaluation.generate_samples. Nothing was asked."
            )
    say(f"{line}.")


def _key(settings: JudgeSettings) -> str:
    """The API key; a stand-in if none is named, as the client would otherwise send the key of OPENAI_API_KEY."""
    if settings.key_env is None:
        return "no-key"
    key = os.environ.get(settings.key_env, "").strip()
    if not re.fullmatch(r"[!-~]+", key):  # what a header may hold
        raise ConfigError(
            f"evaluation.judge.key_env: the environment variable {settings.key_env} holds no API key; set it."
        )
    return key


def _package() -> Any:
    try:
        import openai
    except ImportError:
        raise ConfigError("evaluation.judge: needs the package openai; install it by: pip install openai") from None
    return openai
