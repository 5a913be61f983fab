"""The resident worker: it takes the tasks of a SuperNode that was started with `--isolation process`.

A SuperNode on its own starts a new process for every message, which loads model and data again and runs whatever code
the run's bundle brings. This worker answers in one process, by the installed package; the bundle is never unpacked.

Everything of Flower's internals that this package stands on is in this file (`flwr.supercore`, `flwr.supernode`; the
same in 1.41 and 1.42). A test runs tasks through a real SuperNode.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from flwr.app import Error, Message
from flwr.common.constant import SubStatus
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.supercore.auth import load_superexec_auth_secret
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message, push_task_output

_TASK = "flwr-clientapp"
_PROTECTED = frozenset({"/flwr.proto.Runtime/AcquireTask"})  # what the node asks the secret for
_POLL = 0.1  # seconds
Answer = Callable[[Message], Message]


def serve(address: str, secret: Path, answer: Answer, *, log: Callable[[str], object]) -> None:
    """Answer the messages of a SuperNode, one after the other, until the process is stopped.

    Args:
        address: of the node's Runtime API, on this machine. secret: the file of the secret that the node asks for.
    """
    master = load_superexec_auth_secret(secret_file=str(secret))
    guard = SuperExecAuthHttpInterceptor(master_secret=master, protected_methods=_PROTECTED)
    client = _connected(address, guard)
    while True:
        task = client.AcquireTask(AcquireTaskRequest(supported_task_types=[_TASK]))
        if not (task.HasField("task") and task.token):
            time.sleep(_POLL)
            continue
        try:
            log(_one_task(_connected(address, RuntimeTokenHttpInterceptor(task.token)), answer))
        except (KeyboardInterrupt, httpx.HTTPError) as error:  # Flower interrupts where a run was stopped
            log(f"a task was given up: {type(error).__name__}")


def _connected(address: str, guard: Any) -> RuntimeHttpClient:
    return RuntimeHttpClient.from_server_address(
        server_address=address,
        insecure=True,  # it never leaves this machine
        root_certificates=None,
        interceptors=[RuntimeVersionHttpInterceptor(component_name=_TASK), guard],
        retry_invoker=make_simple_http_retry_invoker(),
    )


def _one_task(client: RuntimeHttpClient, answer: Answer) -> str:
    """Returns a line for the log."""
    beat = HeartbeatSender(make_task_heartbeat_fn_http(client))
    beat.start()
    context, status, details = None, SubStatus.FAILED, "failed"
    try:
        message, context, _, _ = pull_task_input(client)
        started = time.monotonic()
        try:
            reply = answer(message)
        except Exception as error:  # of its text, nothing leaves
            reply = Message(Error(code=2, reason=type(error).__name__), reply_to=message)
        push_message(client, reply, context)
        status, details = SubStatus.COMPLETED, ""
        return f"{message.metadata.message_type} took {time.monotonic() - started:.1f} s"
    finally:
        push_task_output(client, context, status, details)
        beat.stop()
        client.close()
