"""A real deployment over TLS with registered keys, made by the commands of docs/deploy.md: equal to the other engines
also if parts of it are killed, silent about private things, and closed to those outside.

One deployment serves all tests, as starting it is most of what they cost. benchmarks/faults.py kills every part alone,
and prints how long it took.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import tomli_w
from safetensors.numpy import load_file
from scipy.stats import chisquare

from clues.collaboration.flower.keys import new_client_key, write_certificates
from clues.collaboration.flower.processes import Child, free_port, write_secret
from clues.collaboration.flower.runtime import Control, serve
from clues.collaboration.flower.silo import _node
from clues.collaboration.flower.submitting import _APP
from clues.errors import ProtocolError
from clues.merging.updates import lora_pairs, products
from clues.models.adapters import TENSORS
from clues.settings import read_silo
from deployment import DATA, IDS, SECRET, Deployment, deployed, results, wait_for

PAGE = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ clues (.+)$", PAGE, re.M)
OWNER, RUN = (tomllib.loads(text) for text in re.findall(r"```toml\n(.+?)```", PAGE, re.S))
pytestmark = [pytest.mark.deployment, pytest.mark.timeout(1200)]
CLIENTS = [("a", "worker"), ("b", "SuperNode"), ("c", "all")]
SERVER = [("server", "ServerApp"), ("server", "SuperExec"), ("server", "SuperLink"), ("run", "all")]
WHOLE_SERVER = [("server", "all")]
# Long enough to be killed in; Ray gives its own processes half a minute to start.
SLOW = {"training": {"epochs": 20.0}, "engine": {"attempts": 5}}
MASKED = {
    "privacy": {"masks": True},
    "merging": {"method": "exact", "weights": "samples"},
    "evaluation": {"arms": ["base", "selected"]},
}
only_slow = pytest.mark.skipif("CLUES_SLOW" not in os.environ, reason="takes minutes; set CLUES_SLOW=1")


@pytest.fixture(scope="module")
def deployment(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A server and three clients, who reach it through a proxy that records."""
    folder = tmp_path_factory.mktemp("deployment")
    with deployed(folder, tiny_model, proxied=True, owner={"allow": OWNER["allow"]}) as started:
        yield started


def test_the_commands_of_the_page_lead_from_nothing_to_a_finished_run(deployment):
    """The deployment was made by some, for `hospital` and `bank`, here a and b; the others are given here."""
    loopback = {"0.0.0.0": "127.0.0.1", "9092": str(deployment.port), "clues.example.org": "127.0.0.1"}
    names = {**loopback, "hospital": "a", "bank": "b", "hospital.toml": "silo.toml"}
    serve, add, add_another, check, start, doctor, run = (
        [names.get(word, word) for word in line.split()] for line in COMMANDS
    )
    for line in map(" ".join, (serve, add, add_another, start)):
        assert any(said.partition(" --address ")[0] == line for said in deployment.said), line
    own = tomllib.loads((deployment.silo("a") / "silo.toml").read_text())
    allowed = {**OWNER["allow"], "megabytes": 1}
    assert own == own | OWNER | {"id": "a", "folder": "clues-a", "model": own["model"], "allow": allowed}
    checked = deployment.clues(*check, at=deployment.silo("a"))
    assert [line.split(":")[0] for line in checked.stdout.splitlines()] == ["data", "model", "server"]
    assert deployment.clues(*doctor).stdout == "The server runs, and all registered clients are online.\n"

    engine = {**RUN["engine"], "address": f"127.0.0.1:{deployment.port}"}
    small = {"lora": {"r": 2}, "training": {"epochs": 1.0}, "model": {"id": str(deployment.model)}}
    tree = {**RUN, **small, "engine": engine, "clients": [{"id": "a"}, {"id": "b"}]}
    (deployment.folder / run[1]).write_text(tomli_w.dumps(tree))
    before = {client: deployment.jobs(client) for client in IDS}
    assert "Selection" in deployment.clues(*run).stdout
    assert not (deployment.folder / "runs/together/clients").exists()
    (jobs_a, jobs_b, jobs_c) = (deployment.jobs(client) - before[client] for client in IDS)
    assert (len(jobs_a), len(jobs_b), len(jobs_c)) == (1, 1, 0)

    data = ", ".join(f'{{ id = "{client}", data = "silo-{client}/{DATA}" }}' for client in "ab")
    alone = deployment.clues(
        *("run", run[1], "--out", "runs/alone", "--engine", "in-process", "--set", f"clients=[{data}]")
    )
    assert alone.exit_code == 0, alone.stderr
    here, there = (deployment.folder / "runs" / name for name in ("alone", "together"))
    own_files = {"a": jobs_a.pop(), "b": jobs_b.pop()}
    assert results(there, own_files) == results(here, {client: here / "clients" / client for client in "ab"})


def test_nothing_private_crosses_or_stays_at_the_server_also_when_a_client_fails(deployment, capfd):
    data = deployment.silo("c") / DATA
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

    private = [SECRET.encode(), str(deployment.silo("a")).encode(), DATA.encode()]
    for client in ("a", "b"):
        scores = pyarrow.parquet.read_table(deployment.latest(client) / "scores.parquet")["score"].to_pylist()
        private += [form for score in scores for form in (repr(score).encode(), struct.pack("<d", score))]
    assert [(name, word) for name, text in seen.items() for word in private if word in text] == []


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


@pytest.fixture(scope="module")
def survived(deployment: Deployment) -> Path:
    """A run of which all parts are killed: a client's in selection, the server's in training; a SuperNode and a
    ServerApp together, as each is missed for a minute.

    Under masks, of which the server must not get a second set for a question that it asks again.
    """
    worker, node, client = CLIENTS
    deployment.killed_in({"select": [worker, client], "train": [node, *SERVER]}, "survived", **SLOW, **MASKED)
    return deployment.folder / "survived"


def test_three_engines_give_the_same_bytes_even_if_every_part_is_killed(deployment, survived):
    found = results(survived, {client: deployment.latest(client) for client in IDS})
    assert len(found) == 2 + 2 * len(IDS)
    for engine in ("in-process", "simulation"):
        deployment.run(engine, engine, **SLOW, **MASKED)
        folder = deployment.folder / engine
        reference = results(folder, {client: folder / "clients" / client for client in IDS})
        assert found.keys() == reference.keys(), engine
        assert [name for name in reference if found[name] != reference[name]] == [], engine


def test_under_masks_the_server_sees_noise(deployment, survived):
    answers = [*(survived / "server" / "store" / "answers" / "train").iterdir()]
    assert len(answers) == len(IDS)
    sent = [load_file(file) for file in answers]
    names = sorted(sent[0].keys() - {"masks-cancel"})
    received = [np.concatenate([one[key].ravel() for key in names]).view(np.uint32) for one in sent]
    own = [np.concatenate([update[key].ravel() for key in names]) for update in map(updates, map(deployment.silo, IDS))]
    bound = 5 / np.sqrt(received[0].size)
    for words in received:
        assert chisquare(np.bincount(words.view(np.uint8), minlength=256)).pvalue > 1e-6
        assert all(abs(np.corrcoef(words.view(np.int32), update)[0, 1]) < bound for update in own)
    total = np.sum(received, axis=0, dtype=np.uint32).view(np.int32)  # what an observer without masks would see
    assert np.corrcoef(total, np.mean(own, axis=0))[0, 1] > 0.9


def updates(silo):
    """The client's latest update, which its own folder has."""
    file = max(silo.glob("clues-*/store/adapters/*"), key=lambda path: path.stat().st_mtime)
    return {name: tensor.numpy() for name, tensor in products(lora_pairs(TENSORS.read(file))).items()}


@only_slow
@pytest.mark.parametrize(
    ("seed", "phase", "kills"),
    [(13, "train", CLIENTS), (14, "select", SERVER), (15, "select", WHOLE_SERVER), (16, "train", WHOLE_SERVER)],
    ids=["clients-train", "server-select", "whole-server-select", "whole-server-train"],
)
def test_the_other_kills(deployment, seed, phase, kills):
    name = f"killed-{seed}"
    deployment.killed_in({phase: kills}, name, seed=seed, **SLOW)
    deployment.run(f"undisturbed-{seed}", "in-process", seed=seed, **SLOW)
    assert deployment.equal(name, f"undisturbed-{seed}")
