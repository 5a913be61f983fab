"""Flower's internals, all that this package stands on: the resident worker, and a SuperLink's Control API.

A SuperNode on its own starts a new process for every message, which loads model and data again and runs whatever code
the run's bundle brings. The worker takes the tasks of a SuperNode that was started with `--isolation process` and
answers them in one process, by the installed package; the bundle is never unpacked. The Control API is what Flower's
own command line speaks, which takes seconds to start.

A SuperNode and a SuperLink are started with weaknesses mended, see below.

Nothing else imports from `flwr.cli`, `flwr.proto`, `flwr.supercore` or `flwr.supernode`. The same in 1.41 and 1.42; a
test runs both through a real SuperLink and SuperNode.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
from flwr.app import Error, Message
from flwr.cli.build import build_fab_from_disk
from flwr.common.constant import SubStatus
from flwr.proto import control_pb2 as control
from flwr.proto.fab_pb2 import Fab
from flwr.proto.federation_config_pb2 import SimulationConfig
from flwr.proto.runtime_pb2 import AcquireTaskRequest
from flwr.proto.transport_pb2 import Scalar
from flwr.supercore.auth import load_superexec_auth_secret
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.retry import make_simple_http_retry_invoker
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message, push_task_output

from clues.errors import ProtocolError

_TASK = "flwr-clientapp"
_PROTECTED = frozenset({"/flwr.proto.Runtime/AcquireTask"})  # what the node asks the secret for
# An error of the server at the wrong moment ends a SuperNode's loop, but not its process, which then does nothing.
SUPERNODE = """
import os, sys
from flwr.supernode.cli import flower_supernode
sys.argv[0] = "flower-supernode"
flower_supernode()
sys.stdout.flush()
os._exit(1)
"""
# On a busy machine a SuperLink answers with an error if its database is locked for five seconds. And it has the process
# of a run started again, and again, if that needs more than 30 seconds to report: now two minutes. As before, one that
# was killed is missed after a minute, the product of the two numbers.
SUPERLINK = """
import sys
from flwr.supercore import sql_mixin
from flwr.supercore.corestate import sql_corestate
from flwr.superlink.cli import flower_superlink
sql_mixin.SQLITE_PRAGMAS = (*sql_mixin.SQLITE_PRAGMAS, ("busy_timeout", "60000"))
sql_corestate.HEARTBEAT_DEFAULT_INTERVAL, sql_corestate.HEARTBEAT_PATIENCE = 120, 0.5
sys.argv[0] = "flower-superlink"
flower_superlink()
"""
_POLL = 0.5  # seconds; a SuperNode itself looks for messages every three
Answer = Callable[[Message], Message]


def serve(
    address: str,
    secret: Path,
    answer: Answer,
    *,
    log: Callable[[str], object],
    idle: Callable[[], object] = lambda: None,
) -> None:
    """Answer the messages of a SuperNode, one after the other, until the process is stopped.

    Args:
        address: of the node's Runtime API, on this machine. secret: the file of the secret that the node asks for.
        idle: called again and again while there are no messages.

    Raises:
        ProtocolError: it is not the node's secret.
    """
    master = load_superexec_auth_secret(secret_file=str(secret))
    guard = SuperExecAuthHttpInterceptor(master_secret=master, protected_methods=_PROTECTED)
    client = _connected(address, guard)
    # Flower interrupts the process at a 401, which one that a shell started in the background would not notice.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    while True:
        try:
            task = client.AcquireTask(AcquireTaskRequest(supported_task_types=[_TASK]))
        except KeyboardInterrupt:
            raise ProtocolError(
                "the node does not accept the worker's secret; start both by `clues client start`."
            ) from None
        if not (task.HasField("task") and task.token):
            idle()
            time.sleep(_POLL)
            continue
        try:
            log(_one_task(_connected(address, RuntimeTokenHttpInterceptor(task.token)), answer))
        except (KeyboardInterrupt, Exception) as error:  # the run or the node has ended, or the node takes no answer
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
        try:
            push_task_output(client, context, status, details)
        finally:
            beat.stop()
            client.close()


class Unreachable(ProtocolError):
    """No SuperLink answers at an address."""


class Control:
    """What a coordinator asks of its SuperLink: to register clients, to start, watch and stop runs.

    Every method raises ProtocolError if the SuperLink refuses or cannot be reached.

    Args:
        address: host:port. certificate: the file of what signed the SuperLink's; without it, nothing is encrypted.
    """

    def __init__(self, address: str, certificate: str | None) -> None:
        self._address = address
        self._client = ControlHttpClient.from_server_address(
            server_address=address,
            insecure=certificate is None,
            root_certificates=Path(certificate).read_bytes() if certificate else None,
            interceptors=[RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
        )

    def register(self, public: bytes, name: str) -> None:
        """Let the node with this key connect, under a name. `public`: in PEM."""
        self._ask(self._client.RegisterNode, control.RegisterNodeRequest(public_key=public, name=name))

    def nodes(self) -> dict[str, str]:
        """The status of every registered node, by name: registered, online or offline."""
        nodes = self._ask(self._client.ListNodes, control.ListNodesRequest()).nodes_info
        known = sorted(nodes, key=lambda node: node.status == "online")  # a name may stand for an older key too
        return {node.name or str(node.node_id): node.status for node in known if node.status != "unregistered"}

    def start(self, app: Path, config: Mapping[str, str], *, simulated: int = 0) -> int:
        """Start a run of the app in a folder; returns its number. `simulated`: how many nodes a simulation has."""
        bundle = build_fab_from_disk(app)
        nodes = SimulationConfig(num_supernodes=simulated, client_resources_num_cpus=1) if simulated else None
        request = control.StartRunRequest(
            fab=Fab(hash_str=hashlib.sha256(bundle).hexdigest(), content=bundle),
            override_config={key: Scalar(string=value) for key, value in config.items()},
            override_federation_config=nodes,
        )
        return int(self._ask(self._client.StartRun, request).run_id)

    def status(self, run: int) -> tuple[str, str]:
        """(status, details), such as ("running", "") and ("finished:failed", "...")."""
        found = self._ask(self._client.ListRuns, control.ListRunsRequest(run_id=run)).run_dict[run].status
        return ":".join(filter(None, (found.status, found.sub_status))), found.details

    def stop(self, run: int) -> None:
        self._ask(self._client.StopRun, control.StopRunRequest(run_id=run))

    def log(self, run: int, after: float) -> Iterator[tuple[str, float]]:
        """What the coordinator's side of a run has printed after a time, and the time of it, until the run ends."""
        with self._speaking():
            for part in self._client.StreamLogs(control.StreamLogsRequest(run_id=run, after_timestamp=after)):
                yield part.log_output, part.latest_timestamp

    def _ask(self, method: Callable[[Any], Any], request: Any) -> Any:
        with self._speaking():
            return method(request)

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPStatusError as error:
            code = error.response.status_code
            raise ProtocolError(
                f"engine: the SuperLink at {self._address} refuses ({code} {_reason(error)})."
            ) from None
        except httpx.HTTPError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ProtocolError(
                    f"engine.root_certificates: did not sign the certificate that {self._address} shows."
                ) from None
            raise Unreachable(
                f"engine.address: no SuperLink answers at {self._address} ({type(error).__name__}); start it by "
                "`clues server start`, and name its certificate if it has one."
            ) from None


def _reason(error: httpx.HTTPStatusError) -> str:
    try:
        return str(error.response.json()["detail"]).rstrip(".")
    except (ValueError, LookupError, TypeError):
        return error.response.reason_phrase
