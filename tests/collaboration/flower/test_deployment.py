"""A real deployment over TLS with registered keys: silent about private things, and closed to those outside."""

from __future__ import annotations

import json
import re
import shutil
import struct
from pathlib import Path

import pyarrow.parquet
import pytest
import tomli_w

from clues.collaboration.flower.keys import new_client_key, write_certificates
from clues.collaboration.flower.processes import Child, free_port, write_secret
from clues.collaboration.flower.runtime import Control, serve
from clues.collaboration.flower.silo import _node
from clues.collaboration.flower.submitting import _APP
from clues.errors import ProtocolError
from clues.settings import read_silo
from deployment import IDS, SECRET, wait_for

pytestmark = [pytest.mark.deployment, pytest.mark.timeout(1200)]


def test_nothing_private_crosses_or_stays_at_the_server_also_when_a_client_fails(deployment, capfd):
    data = deployment.silo("c") / "data.jsonl"
    good = data.read_text()
    data.write_text(f'{{"id": "{SECRET}", "prompt": "{SECRET}", "response": \n')  # the whole file cannot be used
    try:
        metrics = deployment.run("canary", seed=2, engine={"quorum": 2})
    finally:
        data.write_text(good)
    assert metrics["absent"] == {"c": {"phase": "prepare", "reason": "DataError; its errors.log says more"}}
    assert "DataError" in (deployment.latest("c") / "errors.log").read_text()

    page = deployment.latest("a") / "report.html"  # the owner's, once no more is asked
    sent = len((page.parent / "ledger.jsonl").read_text().splitlines())
    wait_for(lambda: page.is_file() and f"{sent} messages" in page.read_text(), "the owner's page", seconds=90)

    seen = {"the wire": bytes(deployment.proxy.seen), "the output": capfd.readouterr().err.encode()}
    for folder in (deployment.server, deployment.folder / "canary"):
        seen |= {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    public = json.loads((deployment.folder / "anchors.jsonl").read_text().splitlines()[0])
    anchors = pyarrow.parquet.read_table(deployment.latest("a") / "anchors.parquet")["score"].to_pylist()
    asked = set(re.findall(rb"POST (/\S+) HTTP", seen["the wire"]))
    assert asked and all(path.startswith(b"/v1/fleet/") for path in asked)  # a client needs no other interface
    for shared in (public["response"], repr(anchors[0])):  # so that what follows can be found
        assert shared.encode() in seen["the wire"]

    private = [SECRET.encode(), str(deployment.silo("a")).encode(), b"data.jsonl"]
    for client in ("a", "b"):
        scores = pyarrow.parquet.read_table(deployment.latest(client) / "scores.parquet")["score"].to_pylist()
        private += [form for score in scores for form in (repr(score).encode(), struct.pack("<d", score))]
    handed_over = [str(deployment.server / "clients" / f"{client}.toml") for client in IDS]  # these name data.jsonl
    found = [(name, word) for name, text in seen.items() for word in private if word in text]
    assert [(name, word) for name, word in found if name not in handed_over] == []


def test_an_app_that_brings_its_own_package_runs_nothing_at_a_client(deployment, tmp_path):
    """The installed package answers, and refuses each message that is not of the protocol in one sentence."""
    app, out = tmp_path / "app", tmp_path / "answers.json"
    package = app / "clues" / "collaboration" / "flower"
    package.mkdir(parents=True)
    for folder in (app / "clues", package.parent, package):
        (folder / "__init__.py").touch()
    spy = f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom flwr.clientapp import ClientApp\nclient = ClientApp()\n"
    (package / "apps.py").write_text(spy)
    shutil.copy(Path(__file__).with_name("foreign_app.py"), app)
    tree = json.loads(json.dumps(_APP))
    tree["tool"]["flwr"]["app"]["components"]["serverapp"] = "foreign_app:app"
    (app / "pyproject.toml").write_text(tomli_w.dumps(tree))
    if not deployment.jobs("a"):
        deployment.run("before")
    job = deployment.latest("a").name
    before = {client: {file.name for file in deployment.latest(client).parent.iterdir()} for client in IDS}

    control = Control(f"127.0.0.1:{deployment.port}", str(deployment.server / "ca.crt"))
    run = control.start(app, {"out": str(out), "silos": job})
    wait_for(lambda: control.status(run)[0].startswith("finished"), "the foreign app", seconds=240)
    assert control.status(run)[0] == "finished:completed", "".join(text for text, _ in control.log(run, 0.0))

    answers = json.loads(out.read_text())
    assert json.loads(answers.pop("hello"))["id"] in IDS
    assert answers == {
        "another kind": "the question is not one of the protocol.",
        "a path as job": "the message names no job",
        "another job": "the question is about a job that this client was not prepared for",
        "more facts": "select: data do not follow the protocol.",
        "a path as digest": "select: rounds.0 do not follow the protocol.",
        "another shape": "the adapter has other tensors than the terms say.",
        "too large": "train: 1 MB exceed the 1 that allow.megabytes sets.",
        "a pickle": "the message is not one of the protocol",
        "no facts": "the message is not one of the protocol",
    }
    assert not (tmp_path / "ran").exists()
    assert not list(deployment.folder.rglob("unpickled"))
    assert {client: {file.name for file in deployment.latest(client).parent.iterdir()} for client in IDS} == before


def node_of(deployment, folder: Path, **server: object) -> Child:
    """A SuperNode with other settings of the server."""
    file = folder / "silo.toml"
    tree = {
        "id": "a",
        "data": "data.jsonl",
        "folder": "own",
        "server": {"address": f"127.0.0.1:{deployment.port}", **server},
    }
    file.write_text(tomli_w.dumps(tree))
    child = _node(read_silo(file), free_port(), write_secret(folder / "secret"))
    child.ended = 2  # so often it is tried: a key may be in use by a node that was killed
    return child


def refused(child: Child) -> str:
    """The sentence with which the supervisor ends."""
    child.start()
    try:
        wait_for(child.watch, child.name, seconds=120)
    except ProtocolError as error:
        return str(error)
    finally:
        child.stop()
    raise AssertionError


def test_a_key_that_is_not_registered_is_refused(deployment, tmp_path):
    authority = str(deployment.server / "ca.crt")
    assert "does not know server.key" in refused(
        node_of(deployment, tmp_path, root_certificates=authority, key=new_client_key()[0])
    )


@pytest.mark.parametrize(
    ("certificates", "sentence"),
    [("other", "server.root_certificates: did not sign"), (None, "server.root_certificates: is missing")],
)
def test_a_wrong_authority_or_none_is_refused_before_anything_starts(deployment, tmp_path, certificates, sentence):
    server = {"address": f"127.0.0.1:{deployment.port}"}
    if certificates:
        server["root_certificates"] = str(write_certificates(tmp_path / "other", ["127.0.0.1"]))
    (tmp_path / "silo.toml").write_text(tomli_w.dumps({"id": "a", "data": "d", "folder": "own", "server": server}))
    done = deployment.clues("client", "start", tmp_path / "silo.toml")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert sentence in done.stderr
    assert not (tmp_path / "own").exists()


def test_a_worker_without_the_nodes_secret_is_refused(deployment, tmp_path):
    worker = deployment.part("a", "worker")
    address, secret = worker.cmdline()[-2], write_secret(tmp_path / "secret")
    with pytest.raises(ProtocolError, match="the node does not accept the worker's secret"):
        serve(address, secret, lambda message: pytest.fail("it was given a task"), log=print)
    assert worker.is_running()


def test_an_id_that_is_a_path_is_refused(deployment):
    done = deployment.clues("server", "add-client", "../outside", "--folder", deployment.server)
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: id: use letters, digits")


def test_a_client_is_registered_once_and_the_doctor_names_who_is_not_there(deployment):
    again = deployment.clues("server", "add-client", "a", "--folder", deployment.server)
    assert (again.exit_code, "exists; a is registered" in again.stderr) == (2, True)
    assert deployment.wrong() == ""
