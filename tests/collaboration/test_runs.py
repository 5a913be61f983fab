"""Whole runs of tiny clients in one process: faults, masks, noise and defences."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from clues.collaboration import local
from clues.collaboration.in_process import InProcess
from clues.collaboration.protocol import Content, Failure
from clues.errors import ConfigError, ProtocolError
from clues.settings import RunSettings, validated

Change = Callable[[Content], Content | Failure]


@dataclass
class Network(InProcess):
    """Carries messages, changes some answers, and remembers what crossed. `faults`: by (client, kind), one a time."""

    clients: Mapping[str, Any]
    faults: dict[tuple[str, str], list[Change]] = field(default_factory=dict)
    crossed: list[tuple[str, str, Content]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.clients)

    def deliver(self, kind, contents, *, seconds):
        answers = dict(super().deliver(kind, contents, seconds=seconds))
        for client, answer in answers.items():
            changes = self.faults.get((client, kind), [])
            if isinstance(answer, Content):
                answers[client] = changes.pop(0)(answer) if changes else answer
            if isinstance(answers[client], Content):
                self.crossed.append((client, kind, answers[client]))
        return answers


@pytest.fixture
def run(tiny_model, write_samples, tmp_path, monkeypatch):
    """Run with changes of the settings and faults; returns (metrics, network, folder)."""
    public = {name: [str(write_samples(f"{name}.jsonl", 4, "x"))] for name in ("validation", "anchors")}
    clients = [{"id": name, "data": str(write_samples(f"{name}.jsonl", 8))} for name in ("a", "b", "c")]
    values = {
        **public,
        "clients": clients,
        "model": {"id": str(tiny_model)},
        "lora": {"r": 2},
        "training": {"epochs": 1.0, "learning_rate": 5e-3, "checkpoints": 1},
        "scoring": {"method": "clues"},
        "evaluation": {"arms": []},
    }

    def call(name: str = "run", faults: Any = None, **changes: Any) -> tuple[dict[str, Any], Network, Path]:
        networks: list[Network] = []

        def network(clients: Mapping[str, Any]) -> Network:
            networks.append(Network(clients, {key: list(value) for key, value in (faults or {}).items()}))
            return networks[0]

        monkeypatch.setattr(local, "InProcess", network)
        merged = {
            **values,
            **{key: {**values.get(key, {}), **v} if isinstance(v, dict) else v for key, v in changes.items()},
        }
        out = tmp_path / name
        return local.collaborate(validated(RunSettings, merged), out), networks[0], out

    return call


def adapter(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "server/global/adapter_model.safetensors")


def nan(answer: Content) -> Content:
    arrays = {name: torch.full_like(tensor, float("nan")) for name, tensor in answer.arrays.items()}
    return Content(answer.facts, arrays)


def no_scores(answer: Content) -> Content:
    return Content({**answer.facts, "anchors": {"score": [float("nan")] * 4}}, answer.arrays)


def misshapen(answer: Content) -> Content:
    return Content(answer.facts, {name: tensor[:-1] for name, tensor in answer.arrays.items()})


def of_another_rank(answer: Content) -> Content:
    return Content(answer.facts, {n: torch.cat([t, t], int("lora_B" in n)) for n, t in answer.arrays.items()})


def renamed(answer: Content) -> Content:
    return Content(answer.facts, {f"x.{name}": tensor for name, tensor in answer.arrays.items()})


def chatty(answer: Content) -> Content:
    return Content({**answer.facts, "text": "the private text"}, answer.arrays)


def few_anchors(answer: Content) -> Content:
    return Content({**answer.facts, "anchors": {"score": [1.0]}}, answer.arrays)


def no_facts(answer: Content) -> Content:
    return Content([], answer.arrays)


def boundless(answer: Content) -> Content:
    return Content({**answer.facts, "weight": {"samples": 10**400}}, answer.arrays)


def overflowing(answer: Content) -> Content:
    return Content({**answer.facts, "anchors": {"score": [1e300] * 4}}, answer.arrays)


def boastful(answer: Content) -> Content:
    return Content({"verdicts": [{**verdict, "f1": "great"} for verdict in answer.facts["verdicts"]]}, {})


def forgetful(answer: Content) -> Content:
    return Content({"missing": [f"{0:016x}"]}, {})


def empty(answer: Content) -> Content:
    return Content({}, {})


def dead(answer: Content) -> Failure:
    return Failure("its process died")


FAULTS = [
    ("select", nan, "no number"),
    ("select", no_scores, "do not follow the protocol"),
    ("select", misshapen, "has the shape"),
    ("select", of_another_rank, "has the shape"),
    ("select", renamed, "other tensors"),
    ("select", chatty, "text do not follow the protocol"),
    ("select", few_anchors, "it scored"),
    ("select", empty, "other tensors|it scored"),
    ("select", dead, "its process died"),
    ("select", no_facts, "not one of the protocol"),
    ("select", boundless, "weight.samples do not follow"),
    ("select", overflowing, "anchors.* do not follow"),
    ("select", forgetful, "adapters of another job"),
    ("prepare", chatty, "text do not follow"),
    ("prepare", dead, "its process died"),
    ("judge", empty, "verdicts do not follow"),
    ("judge", boastful, "verdicts.*f1.* do not follow"),
    ("judge", dead, "its process died"),
    ("train", nan, "no number"),
    ("train", misshapen, "has the shape"),
    ("train", of_another_rank, "has the shape"),
    ("train", dead, "its process died"),
]


def test_clients_that_fail_twice_are_left_out_where_a_quorum_remains(run, write_samples):
    """One client for each fault, and two that do as they are asked."""
    faulty = {f"{n}-{kind}-{fault.__name__}": (kind, fault, why) for n, (kind, fault, why) in enumerate(FAULTS)}
    clients = [{"id": name, "data": str(write_samples(f"{name}.jsonl", 8))} for name in (*faulty, "good", "other")]
    faults = {(name, kind): [fault, fault] for name, (kind, fault, _) in faulty.items()}
    metrics, _, _ = run(clients=clients, faults=faults, engine={"quorum": 2}, evaluation={"arms": ["mixed"]})
    assert {name: absent["phase"] for name, absent in metrics["absent"].items()} == {
        name: kind for name, (kind, *_) in faulty.items()
    }
    for name, (*_, reason) in faulty.items():
        assert re.search(reason, metrics["absent"][name]["reason"]), name
    assert set(metrics["merge_weights"]["selected"]) == {"good", "other"}


def uninvited(answer: Content) -> Content:
    return Content(answer.facts, {"base_model.lora_A.weight": torch.zeros(2, 2)})


def test_an_adapter_of_all_samples_leaves_a_client_only_where_it_is_used(run):
    for name, changes, sent in (
        ("none", {"collaboration": {"train": False}}, set()),
        ("selected", {}, {"train"}),
        ("mixed", {"evaluation": {"arms": ["mixed"]}}, {"select", "train"}),
        ("recompute", {"defences": {"recompute": True}}, {"select", "train"}),
    ):
        _, network, _ = run(name, **changes)
        assert {kind for _, kind, answer in network.crossed if answer.arrays} == sent, name
    with pytest.raises(ProtocolError, match="a: its answer is refused: it sends what was not asked for"):
        run("uninvited", faults={("a", "select"): [uninvited, uninvited]})


def test_a_method_without_a_trajectory_trains_none(run):
    _, _, out = run(scoring={"method": "length"}, collaboration={"train": False})
    assert (out / "clients/a/kept.jsonl").is_file()
    assert not list(out.rglob("adapter_model.safetensors"))


def test_a_run_that_ended_goes_on_and_a_client_that_fails_once_changes_nothing(run):
    with pytest.raises(ProtocolError, match="train: a client failed: b: its process died; 2 of 3 clients are left"):
        run(faults={("b", "train"): [dead, dead]})
    once = {("b", kind): [dead] for kind in ("prepare", "select", "judge", "train")}
    metrics, network, out = run(faults=once)
    assert metrics["absent"] == {}
    assert not any(network.faults.values())  # it did fail each time
    _, _, undisturbed = run("undisturbed")
    for file in ("server/global/adapter_model.safetensors", "clients/b/kept.jsonl", "metrics.json"):
        assert (out / file).read_bytes() == (undisturbed / file).read_bytes()


FEDERATED = {"mode": "federated", "rounds": 2}


def test_a_stopped_federation_goes_on_after_its_last_round(run, monkeypatch):
    monkeypatch.setattr(local, "coordinate", functools.partial(local.coordinate, remember=True))
    honest: Change = lambda answer: answer  # noqa: E731
    options = {"collaboration": {**FEDERATED, "strategy": "fedavgm"}}
    with pytest.raises(ProtocolError, match="train: a client failed: b"):  # in the second round on all samples
        run(faults={("b", "train"): [honest, dead, dead]}, **options)
    _, network, out = run(**options)
    _, whole, undisturbed = run("other", **options)
    for file in ("server/global/adapter_model.safetensors", "metrics.json"):
        assert (out / file).read_bytes() == (undisturbed / file).read_bytes()
    asked = [[client for client, kind, _ in one.crossed if kind == "train"] for one in (network, whole)]
    assert [len(clients) for clients in asked] == [7, 12]  # b's second round, then both rounds on the selected
    assert not list((out / "server/store").glob("answers/train/*"))


def test_a_federation_scores_at_as_many_rounds_as_there_are_checkpoints(run):
    passes = []
    for count in (1, 2, 9):
        training = {"epochs": 2.0, "checkpoints": count}
        _, _, out = run(str(count), collaboration={"mode": "federated", "rounds": 4}, training=training)
        passes.append(json.loads((out / "clients/a/costs.json").read_text())["backward"])
    assert [found / passes[0] for found in passes] == [1, 2, 4]


def test_files_that_the_coordinators_disk_has_damaged_are_made_anew(run, monkeypatch):
    monkeypatch.setattr(local, "coordinate", functools.partial(local.coordinate, remember=True))
    _, whole, out = run(collaboration=FEDERATED)
    results = [out / file for file in ("server/global/adapter_model.safetensors", "metrics.json")]
    before = [file.read_bytes() for file in results]
    for file in [results[0], *(file for file in (out / "server/store").rglob("*") if file.is_file())]:
        file.write_bytes(file.read_bytes()[:20])
    _, again, _ = run(collaboration=FEDERATED)
    assert [file.read_bytes() for file in results] == before
    assert len(again.crossed) == len(whole.crossed)  # clients are asked again


def test_a_trajectory_is_sent_once_whatever_the_wire(run):
    _, network, _ = run(collaboration={**FEDERATED, "wire": "float16"})
    answers = [content.facts for _, kind, content in network.crossed if kind == "select"]
    assert [facts["missing"] for facts in answers] == [[]] * 3


def test_a_client_that_asks_for_adapters_again_and_again_is_left_out(run):
    def ask(answer: Content) -> Content:
        return Content({"missing": network_rounds}, {})

    network_rounds: list[str] = []
    _, network, _ = run("one", collaboration=FEDERATED)
    network_rounds += sorted(path.stem for path in (network.clients["b"].folder / "received").iterdir())[:1]
    metrics, _, _ = run("two", faults={("b", "select"): [ask] * 4}, collaboration=FEDERATED, engine={"quorum": 2})
    assert metrics["absent"]["b"]["phase"] == "select"


def test_a_client_without_samples_of_a_round_stops_nobody(run):
    nothing: Change = lambda answer: Content({"weight": {"samples": 0}}, {})  # noqa: E731
    metrics, _, out = run(faults={("b", "train"): [nothing] * 4}, collaboration=FEDERATED)
    assert metrics["absent"] == {} and adapter(out)


@pytest.mark.parametrize("mode", [FEDERATED, {"mode": "merging"}])
def test_masks_hide_adapters_and_change_no_result(run, mode):
    _, _, plain = run("plain", collaboration=mode, merging={"method": "svd", "weights": "samples"})
    merging = {"method": "exact", "weights": "samples"}
    metrics, network, masked = run("masked", collaboration=mode, merging=merging, privacy={"masks": True})
    for client, kind, content in network.crossed:
        assert all(tensor.dtype == torch.int32 for tensor in content.arrays.values()), (client, kind)
    assert sum(bool(content.arrays) for *_, content in network.crossed) >= 3
    left, right = (adapter(out) if mode == FEDERATED else updates(out) for out in (plain, masked))
    for name in left:
        torch.testing.assert_close(right[name], left[name], rtol=0, atol=1e-5)
    assert metrics["absent"] == {}


def updates(out: Path) -> dict[str, torch.Tensor]:
    """ΔW of every module of the merged adapter."""
    config, state = json.loads((out / "server/global/adapter_config.json").read_text()), adapter(out)
    scale = config["lora_alpha"] / config["r"]
    pairs = {name: name.replace("lora_A", "lora_B") for name in state if "lora_A" in name}
    return {a: scale * state[b] @ state[a] for a, b in pairs.items()}


def test_masks_survive_a_lost_client_as_another_sum(run):
    metrics, network, _ = run(
        collaboration=FEDERATED, privacy={"masks": True}, engine={"quorum": 2}, faults={("b", "train"): [dead, dead]}
    )
    assert set(metrics["absent"]) == {"b"}
    assert {client for client, kind, _ in network.crossed if kind == "train"} == {"a", "c"}


LIMITS = {"max_epsilon": 1000.0, "max_clipping_norm": 1.0, "min_noise_multiplier": 0.5, "anchors": {"release": "exact"}}
NOISE = {"clipping_norm": 0.1, "noise_multiplier": 1.0}


def limited(run_values: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    return [{**client, "privacy": {**LIMITS, **changes}} for client in run_values]


@pytest.fixture
def owners(tmp_path):
    return [{"id": name, "data": str(tmp_path / f"{name}.jsonl")} for name in ("a", "b", "c")]


def test_noise_differs_between_runs_of_one_seed_and_is_paid_for_once(run, owners):
    options = {"clients": limited(owners), "collaboration": FEDERATED, "privacy": {"noise": NOISE}}
    _, _, one = run("one", **options)
    _, _, two = run("two", **options)
    assert any(not torch.equal(adapter(one)[name], adapter(two)[name]) for name in adapter(one))
    spent = json.loads((one / "clients/a/privacy.json").read_text())["releases"]
    assert len(spent) == 4  # two rounds on all samples, two on the selected ones
    run("one", **options)  # the same questions get the same answers
    assert json.loads((one / "clients/a/privacy.json").read_text())["releases"] == spent


@pytest.mark.parametrize(
    ("limits", "privacy", "message"),
    [
        ({}, {}, "sends noised updates only"),
        ({"min_noise_multiplier": 2.0}, {"noise": NOISE}, "demands at least 2"),
        ({"max_clipping_norm": 0.01}, {"noise": NOISE}, "demands at most 0.01"),
        ({"max_epsilon": 0.1}, {"noise": NOISE}, "above max_epsilon 0.1"),
        ({"anchors": {"release": "noised"}}, {"noise": NOISE}, "anchors.release is noised"),
    ],
)
def test_an_owners_minimum_is_not_lowered(run, owners, limits, privacy, message):
    with pytest.raises(ProtocolError, match=message):
        run(clients=limited(owners, **limits), privacy=privacy)


def test_noise_needs_an_owner_who_keeps_account(run):
    with pytest.raises(ProtocolError, match="has no table privacy"):
        run(privacy={"noise": NOISE})


def test_anchors_can_be_recomputed_by_the_coordinator(run):
    sent, _, _ = run("sent")
    metrics, network, _ = run("own", privacy={"anchors": {"release": "none"}}, defences={"recompute": True})
    assert metrics["threshold"]["value"] == pytest.approx(sent["threshold"]["value"], rel=1e-4)
    assert all(not content.facts["anchors"] for _, kind, content in network.crossed if kind == "select")


def flipped(answer: Content) -> Content:
    return Content(answer.facts, {n: -100 * t if "lora_B" in n else t for n, t in answer.arrays.items()})


def test_a_suspicious_adapter_is_left_out(run, write_samples):
    """Of five clients, as the median of two others would be half the liar's."""
    clients = [{"id": name, "data": str(write_samples(f"{name}.jsonl", 8))} for name in "abcde"]
    metrics, _, _ = run(clients=clients, defences={"updates": "leave-out"}, faults={("b", "train"): [flipped]})
    assert set(metrics["merge_weights"]["selected"]) == set("acde")
    assert metrics["defences"]["updates"]["selected"]["b"]["reasons"]


@pytest.mark.parametrize("strategy", ["fedprox", "fedavgm", "fedadam", "fedyogi", "median"])
def test_strategies_by_name(run, strategy):
    _, _, out = run(collaboration={**FEDERATED, "strategy": strategy})
    assert all(torch.isfinite(tensor).all() for tensor in adapter(out).values())


def test_settings_that_contradict_each_other_are_told_together(run):
    with pytest.raises(ConfigError) as error:
        run(privacy={"masks": True}, defences={"updates": "report"}, merging={"method": "ties"})
    assert str(error.value).count("privacy.masks") == 2


def test_the_ledgers_agree_with_what_the_server_received(run):
    from clues.collaboration.ledger import compare_ledger

    _, _, out = run()
    for client in ("a", "b", "c"):
        found = compare_ledger(out / "clients" / client / "ledger.jsonl", out / "server/received.jsonl", client)
        assert found.received == 4
        assert not found.lost
