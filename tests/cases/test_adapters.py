"""Adapters as other trainers save them: attached, scored at, evaluated and merged rightly, or refused by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from transformers import AutoModelForCausalLM

from bundles import fit, state_digest
from clues.data.tokens import Tokens
from clues.errors import CluesError, ConfigError, ModelError
from clues.merging.merging import merge_adapters
from clues.merging.updates import updates_of
from clues.merging.weights import learn_weights
from clues.models.adapters import adapter_state, attached, load_adapter, peft_config, save_adapter
from clues.models.base import Base, load_base
from clues.settings import LoraSettings, MergingSettings, ModelSettings, TrainingSettings
from families import FAMILIES, family_base

PLAIN = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
EMBEDDINGS = "base_model.model.model.embed_tokens.weight"
MERGED = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "expression": {"target_modules": r".*self_attn\.(q_proj|v_proj)"},
    "rank pattern": {"rank_pattern": {"q_proj": 8}, "alpha_pattern": {"v_proj": 3}},
    "one layer": {"layers_to_transform": [1]},
    "all linear": {"target_modules": "all-linear", "exclude_modules": ["down_proj"]},
    "head": {"target_modules": ["q_proj", "lm_head"]},
}
REFUSED = {
    "dora": ({"use_dora": True}, "is a DoRA adapter"),
    "saved head": ({"modules_to_save": ["lm_head"]}, "saves whole modules"),
    "biases": ({"lora_bias": True}, "has biases"),
    "pissa": ({"init_lora_weights": "pissa"}, "was initialised by pissa"),
    "olora": ({"init_lora_weights": "olora"}, "was initialised by olora"),
    "embeddings": ({"target_modules": ["q_proj", "embed_tokens"]}, "adapts embeddings|carries tensors beside"),
    "trained tokens": ({"trainable_token_indices": {"embed_tokens": [3, 4]}}, "trains tokens"),
}
KINDS = {**MERGED, **{name: options for name, (options, _) in REFUSED.items()}}


@pytest.fixture
def make(tiny_model, tmp_path):
    """Two adapters of one kind in folders, made by PEFT alone."""

    def made(kind: str, seed: int = 1, **more) -> Path:
        torch.manual_seed(0)
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(tiny_model), LoraConfig(**(PLAIN | KINDS[kind] | more))
        )
        torch.manual_seed(seed)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.05 * torch.randn_like(parameter)
        model.peft_config["default"].base_model_name_or_path = str(tiny_model)
        folder = tmp_path / f"{kind} {seed}"
        model.save_pretrained(folder)
        return folder

    return made


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(2, 40).reshape(2, -1)).logits


def tokens(count: int = 4) -> list[Tokens]:
    return [Tokens(f"t{n}", "d", [0, *range(5 + n, 17 + n), 1], 5, False) for n in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_attached_it_computes_what_peft_computes_and_the_base_is_bare_afterwards(base, tiny_model, make, kind):
    folder = make(kind)
    theirs = logits(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), folder))
    before = state_digest(base.model)
    state, config = load_adapter(folder, base)
    with attached(base, config, state) as model:
        model.train()
        ours = logits(model)
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not torch.allclose(ours, logits(base.model), atol=1e-5)
    assert state_digest(base.model) == before


def test_the_base_is_bare_again_where_something_fails_half_way(base, make):
    before = state_digest(base.model)
    for kind in ("saved head", "pissa", "plain"):
        state, config = load_adapter(make(kind), base)
        with pytest.raises(RuntimeError), attached(base, config, state) as model:
            model.train().requires_grad_(True)
            model(torch.arange(2, 9)[None]).logits.sum().backward()
            raise RuntimeError
        with pytest.raises(ModelError), attached(base, config, {n: t[:1] for n, t in state.items()}):
            pass
    assert state_digest(base.model) == before


def update(base: Base, state, config) -> dict[str, torch.Tensor]:
    """ΔW of every module, by PEFT's own merge."""
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    model = AutoModelForCausalLM.from_pretrained(base.name)
    adapted = get_peft_model(model, peft_config(config, base.name))
    set_peft_model_state_dict(adapted, dict(state))
    merged = adapted.merge_and_unload().state_dict()
    return {name: merged[name] - before[name] for name in before}


def close(one, two) -> bool:
    size = sum(t.square().sum() for t in two.values()).sqrt()
    return bool(sum((one[name] - two[name]).square().sum() for name in two).sqrt() < 1e-5 * size + 1e-7)


@pytest.mark.parametrize("method", ["exact", "svd", "linear", "ties", "dare-linear", "dare-ties"])
@pytest.mark.parametrize("kind", MERGED)
def test_an_adapter_merged_with_itself_gives_itself_back(base, make, kind, method):
    adapter = load_adapter(make(kind), base)
    before = state_digest(base.model)
    settings = MergingSettings(method=method, density=1.0)
    if kind == "rank pattern" and method not in ("exact", "svd"):
        with pytest.raises(
            ConfigError, match=f"merging.method: {method} merges adapters of one rank .*use exact or svd"
        ):
            merge_adapters(base, [adapter, adapter], weights=[1, 1], settings=settings, seed=1)
        return
    merged = merge_adapters(base, [adapter, adapter], weights=[1, 1], settings=settings, seed=1)
    assert close(update(base, *merged), update(base, *adapter))
    assert state_digest(base.model) == before


@pytest.mark.parametrize("kind", MERGED)
def test_the_exact_merge_is_the_mean_of_the_updates_and_loads_in_peft(base, tiny_model, make, tmp_path, kind):
    adapters = [load_adapter(make(kind, seed), base) for seed in (1, 2)]
    state, config = merge_adapters(base, adapters, weights=[1, 3], settings=MergingSettings(method="exact"), seed=1)
    one, two = (update(base, *adapter) for adapter in adapters)
    expected = {name: one[name] / 4 + two[name] * 3 / 4 for name in one}
    assert close(update(base, state, config), expected)
    save_adapter(state, config, base, tmp_path / "merged")
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), tmp_path / "merged")
    weights = loaded.merge_and_unload().state_dict()
    assert close(
        {n: weights[n] - t for n, t in AutoModelForCausalLM.from_pretrained(tiny_model).state_dict().items()}, expected
    )


def test_adapters_of_other_ranks_scalings_and_modules_are_merged(base, make):
    adapters = [
        load_adapter(make("plain", 1), base),
        load_adapter(make("rslora", 2, r=2), base),
        load_adapter(make("all linear", 3, lora_alpha=5), base),
    ]
    updates = [update(base, *adapter) for adapter in adapters]
    expected = {name: sum(one[name] for one in updates) / 3 for name in updates[0]}
    assert close(
        update(base, *merge_adapters(base, adapters, weights=[1, 1, 1], settings=MergingSettings(), seed=1)), expected
    )
    _, config = merge_adapters(base, adapters, weights=[1, 1, 1], settings=MergingSettings(method="svd"), seed=1)
    assert config.r == 4
    with pytest.raises(ConfigError, match="use exact or svd"):
        merge_adapters(base, adapters, weights=[1, 1, 1], settings=MergingSettings(method="ties"), seed=1)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_merge_would_lose_is_refused_by_name(base, make, kind):
    adapter = load_adapter(make(kind), base)
    before = state_digest(base.model)
    with pytest.raises(CluesError, match=REFUSED[kind][1]):
        merge_adapters(base, [adapter, adapter], weights=[1, 1], settings=MergingSettings(), seed=1)
    assert state_digest(base.model) == before


def test_embeddings_that_were_saved_beside_an_adapter_are_refused(base, make):
    state, config = load_adapter(make("plain"), base)
    state = {**state, EMBEDDINGS: base.model.get_input_embeddings().weight * 3}
    before = state_digest(base.model)
    with pytest.raises(ModelError, match="carries tensors beside LoRA's, such as embeddings"):
        merge_adapters(base, [(state, config)] * 2, weights=[1, 1], settings=MergingSettings(), seed=1)
    with attached(base, config, state) as model:
        assert torch.equal(model.get_input_embeddings().weight, state[EMBEDDINGS])
    assert state_digest(base.model) == before


def test_weights_are_learned_of_any_ranks_on_the_true_base(base, make):
    adapters = [load_adapter(make("plain", 1), base), load_adapter(make("rank pattern", 2), base)]
    before = state_digest(base.model)
    weights = learn_weights(
        base, adapters, tokens=tokens(), settings=MergingSettings(weights="learned", weight_steps=3)
    )
    assert sum(weights) == pytest.approx(1)
    assert weights[0] != weights[1]
    assert state_digest(base.model) == before


def test_other_initialisations_and_kinds_are_refused_by_name(base):
    config = LoraConfig(**PLAIN, init_lora_weights="pissa_niter_4")
    with pytest.raises(ModelError, match="pissa_niter_4, which changes the base"), attached(base, config):
        pass


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_trained_merged_and_restored(family):
    base = family_base(family)
    before = state_digest(base.model)
    lora = LoraSettings(r=2, target_modules="all-linear", dropout=0.1)
    steps = TrainingSettings(steps=2, batch_size=2, learning_rate=1e-2)
    states = [fit(base, lora, tokens(), steps, seed) for seed in (1, 2)]
    state, config = merge_adapters(
        base, [(state, lora) for state in states], weights=[1, 1], settings=MergingSettings(), seed=1
    )
    assert state_digest(base.model) == before
    one, two, both = (updates_of(base, *adapter) for adapter in ((states[0], lora), (states[1], lora), (state, config)))
    for name in both:
        mean = (one[name].b @ one[name].a + two[name].b @ two[name].a) / 2
        assert torch.allclose(both[name].b @ both[name].a, mean, atol=1e-6)
    assert state_digest(base.model) == before


# Whose adapter it is


def test_the_same_model_in_another_folder_is_the_same_base(tiny_model, tmp_path):
    bases = []
    for name in ("a", "b"):
        shutil.copytree(tiny_model, tmp_path / name)
        load_base.cache_clear()
        bases.append(load_base(ModelSettings(id=str(tmp_path / name), device="cpu")))
    load_base.cache_clear()
    assert bases[0].digest == bases[1].digest
    lora = LoraSettings(r=2)
    with attached(bases[0], lora) as model:
        save_adapter(adapter_state(model), lora, bases[0], tmp_path / "adapter")
    shutil.rmtree(tmp_path / "a")
    load_adapter(tmp_path / "adapter", bases[1])


def test_another_model_in_the_same_folder_is_another_base(tiny_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    digests = []
    for change in ("weights", "template", "configuration", "none"):
        load_base.cache_clear()
        digests.append(load_base(ModelSettings(id=str(folder), device="cpu")).digest)
        if change == "weights":
            model = AutoModelForCausalLM.from_pretrained(folder)
            model.model.norm.weight.data[0] += 1
            model.save_pretrained(folder)
        elif change == "template":
            (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
        elif change == "configuration":
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
    load_base.cache_clear()
    assert len(set(digests)) == 4


def test_the_digest_is_of_the_model_and_not_of_how_it_is_loaded_or_stored(tiny_model, tmp_path):
    AutoModelForCausalLM.from_pretrained(tiny_model).save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    for file in tiny_model.glob("*token*"):
        shutil.copy(file, tmp_path / "shards")
    shutil.copy(tiny_model / "chat_template.jinja", tmp_path / "shards")
    digests = []
    for folder, dtype in ((tiny_model, "float32"), (tiny_model, "bfloat16"), (tmp_path / "shards", "float32")):
        load_base.cache_clear()
        digests.append(load_base(ModelSettings(id=str(folder), device="cpu", dtype=dtype)).digest)
    load_base.cache_clear()
    assert len(set(digests)) == 1


def test_an_adapter_of_another_trainer_whose_base_is_gone_needs_a_word(base, make, tiny_model, tmp_path):
    folder = make("plain")
    load_adapter(folder, base)
    config = json.loads((folder / "adapter_config.json").read_text())
    copied = tmp_path / "copy of the model"
    shutil.copytree(tiny_model, copied)
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(copied)}))
    load_adapter(folder, base)
    shutil.rmtree(copied)
    with pytest.raises(ModelError, match=r"is not available for comparison with .* pass --set model\.any_base=true"):
        load_adapter(folder, base)
    load_adapter(folder, replace(base, any_base=True))
