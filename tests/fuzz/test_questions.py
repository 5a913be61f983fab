"""Whatever a coordinator sends, a data owner answers, or says in one sentence why not; and writes in its own folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mutation import VALUES, changed_record, fuzzed

from clues.collaboration import client as module
from clues.collaboration import protocol
from clues.collaboration.protocol import Content, Failure, Select, plain
from clues.collaboration.resident import Resident
from clues.models.base import load_base
from clues.settings import ClientSettings, ModelSettings, RunSettings, SiloFile, Terms
from clues.silo.silo import Silo

JOB, DIGEST, CANARY = "0123456789abcdef", "f" * 16, "canary of the private text"
THRESHOLD = {"rule": "score", "value": 0.0, "scale": {}, "share": {}}
TRAIN = {"job": JOB, "arm": "selected", "threshold": THRESHOLD, "round": 1}
MASKS = {"round": "round 1", "weights": {"a": 1.0, "b": 1.0}, "limit": 8.0, "keys": {"a": "", "b": ""}}
JUDGE = {"job": JOB, "thresholds": [{"column": "score", "threshold": THRESHOLD, "chosen": True}]}
ASKED = {
    "hello": [{}],
    "select": [{"job": JOB}, {"job": JOB, "rounds": [DIGEST]}],
    "judge": [JUDGE],
    "weigh": [{"job": JOB, "arm": "mixed", "threshold": None}, {"job": JOB, "arm": "oracle", "threshold": None}],
    "train": [TRAIN, {**TRAIN, "masks": MASKS}, {**TRAIN, "job": "../../outside"}],
}
NAMES = ["x", "", "../../outside", f"{DIGEST}/x", f"{DIGEST}/../../outside", "a/b/c"]
TENSORS = [
    torch.zeros(2),
    torch.tensor(1.0),
    torch.zeros(0),
    torch.full((2, 2), float("nan")),
    torch.ones(2, dtype=torch.int64),
    torch.ones(2, dtype=torch.complex64),
    torch.ones(2, dtype=torch.bool),
    torch.zeros(1).expand(10**10),
]


@pytest.fixture(scope="module")
def silo(tiny_model, tmp_path_factory):
    """A data owner that has scored for a job, its folder, the question of the job and the names of adapters."""
    folder = tmp_path_factory.mktemp("silo")
    rows = [{"id": str(n), "prompt": "what is a bone", "response": f"{CANARY} {n}"} for n in range(4)]
    data = folder / "private.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    public = [
        {"id": str(n), "context": [{"role": "user", "content": "a"}], "response": "b", "domain": "x"} for n in "12"
    ]
    settings = RunSettings(
        validation=["v"],
        anchors=["a"],
        clients=[ClientSettings(id="a"), ClientSettings(id="b")],
        engine={"name": "deployment"},
        training={"epochs": 1.0, "checkpoints": 1},
        scoring={"method": "clues"},
        lora={"r": 2},
    )
    model = ModelSettings(id=str(tiny_model), device="cpu")
    prepare = {
        "job": JOB,
        "terms": plain(Terms.of(settings, digest=load_base(model).digest)),
        "validation": public,
        "anchors": public,
        "tests": [],
    }
    resident = Resident(SiloFile(id="a", data=str(data), folder=str(folder / "home"), model=model))
    assert isinstance(resident.answer("prepare", prepare, {}), Content)
    scored = resident.answer("select", plain(Select(job=JOB)), {})
    assert isinstance(scored, Content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Silo, "train", lambda self, rows, *, initial, **options: initial or dict(scored.arrays))
        yield resident, folder, prepare, dict(scored.arrays)


def elsewhere(folder: Path) -> set[Path]:
    """The files in and beside a data owner's folder that are not of its job."""
    places = [*folder.parent.glob("*"), *folder.glob("*"), *folder.glob("home/*"), *folder.glob("home/jobs/*")]
    return {path for path in places if path.name != JOB}


@fuzzed
@given(data=st.data())
def test_any_question(silo, data):
    resident, folder, prepare, adapter = silo
    kind = data.draw(st.sampled_from([*protocol.QUESTIONS, "", "../train"]))
    facts = data.draw(st.one_of(VALUES, *[changed_record({**ASKED, "prepare": [prepare]}.get(kind, [TRAIN]))] * 4))
    if isinstance(facts, dict) and data.draw(st.booleans()):
        facts["job"] = JOB
    arrays = data.draw(
        st.one_of(
            st.just({}),
            st.dictionaries(st.sampled_from([*NAMES, *adapter]), st.sampled_from(TENSORS), max_size=3),
            st.builds(lambda t: dict.fromkeys(adapter, t), st.sampled_from(TENSORS)),
        )
    )
    before = elsewhere(folder)
    answer = resident.answer(kind, facts, arrays)
    text = json.dumps(answer.facts) if isinstance(answer, Content) else answer.reason
    assert CANARY not in text
    assert str(folder) not in text
    assert len(text.splitlines()) == 1 and len(text) < 400
    assert elsewhere(folder) == before


def test_deep_facts(silo):
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    answer = silo[0].answer("train", {**TRAIN, "threshold": nested}, {})
    assert isinstance(answer, Failure) and answer.reason.startswith("RecursionError")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": {"template": "/etc/hostname"}}, "neither a template nor the name"),
        ({"training": {"report_to": ["wandb"]}}, "losses would go to wandb"),
        ({"model": {"digest": "other"}}, "model is not that of the terms"),
    ],
)
def test_terms_that_reach_beyond_the_job(silo, change, reason):
    resident, _, prepare, _ = silo
    terms = {**prepare["terms"], **{table: {**prepare["terms"][table], **keys} for table, keys in change.items()}}
    answer = resident.answer("prepare", {**prepare, "terms": terms}, {})
    assert isinstance(answer, Failure) and reason in answer.reason


def test_a_template_is_a_text_at_the_client(silo):
    resident, _, prepare, _ = silo
    template = "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>{% endfor %}" + "{# long #}" * 100
    data = {**prepare["terms"]["data"], "template": template}
    answer = resident.answer("prepare", {**prepare, "terms": {**prepare["terms"], "data": data}}, {})
    assert isinstance(answer, Content), answer
    assert isinstance(resident.answer("prepare", prepare, {}), Content)


def test_thresholds_of_few_samples_and_many_thresholds_are_refused(silo):
    resident, *_ = silo
    own = resident.own.model_copy(update={"allow": resident.own.allow.model_copy(update={"samples": 5})})
    few = Resident(own).answer("train", {**TRAIN, "arm": "mixed"}, {})
    assert isinstance(few, Failure) and "fewer samples than allow.samples" in few.reason
    many = resident.answer("judge", {"job": JOB, "thresholds": JUDGE["thresholds"] * 33}, {})
    assert isinstance(many, Failure) and "thresholds" in many.reason


def test_a_job_asks_for_so_many_different_thresholds(silo):
    resident, *_ = silo
    assert isinstance(resident.answer("judge", JUDGE, {}), Content)
    asked = len(json.loads((resident.folder / module.ASKED).read_text()))
    allow = resident.own.allow.model_copy(update={"thresholds": asked})
    limited = Resident(resident.own.model_copy(update={"allow": allow}))
    other = {**THRESHOLD, "value": 0.123}
    assert isinstance(limited.answer("judge", JUDGE, {}), Content)  # again, nothing new is told
    for kind, facts in (
        ("judge", {"job": JOB, "thresholds": [{"column": "score", "threshold": other, "chosen": False}]}),
        ("weigh", {"job": JOB, "arm": "selected", "threshold": other}),
        ("train", {**TRAIN, "threshold": other}),
    ):
        refused = limited.answer(kind, facts, {})
        assert isinstance(refused, Failure) and f"a job may ask for {asked} thresholds" in refused.reason
