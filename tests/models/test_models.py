from __future__ import annotations

import pytest
import torch

from clues.errors import ConfigError, ModelError
from clues.models.adapters import adapter_state, attached, load_adapter, lora_modules, save_adapter
from clues.models.base import Base, load_base
from clues.models.trajectory import load_trajectory
from clues.settings import LoraSettings, ModelSettings

LORA = LoraSettings(r=2)


def test_a_saved_adapter_comes_back_and_peft_loads_it(base, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with attached(base, LORA, seed=3) as model:
        state = adapter_state(model)
    save_adapter(state, LORA, base, tmp_path / "a")
    again, _ = load_adapter(tmp_path / "a", base)
    assert all(torch.equal(state[name], again[name]) for name in state)
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.name), tmp_path / "a")
    name, tensor = next(iter(state.items()))
    assert torch.equal(dict(loaded.named_parameters())[name.replace(".weight", ".default.weight")], tensor)


def test_the_base_is_bare_after_an_error(base):
    with pytest.raises(RuntimeError), attached(base, LORA):
        raise RuntimeError
    assert not hasattr(base.model, "peft_config")


def test_a_glob_chooses_modules_and_never_silently_all(base):
    with attached(base, LORA) as model:
        assert len(lora_modules(model)) == 4
        assert {m.name.split(".")[-3] for m in lora_modules(model, "*.layers.0.*")} == {"0"}
        with pytest.raises(
            ConfigError, match=r"'\*\.layer\.0\.\*' matches no adapter module; names look like base_model"
        ):
            lora_modules(model, "*.layer.0.*")


def test_unknown_target_modules(base):
    with (
        pytest.raises(ConfigError, match=r"lora\.target_modules: .*nope"),
        attached(base, LoraSettings(target_modules=["nope"])),
    ):
        pass


def test_an_adapter_of_another_base_is_refused(base, tmp_path):
    with attached(base, LORA) as model:
        save_adapter(adapter_state(model), LORA, Base("some/other-model", base.model, None), tmp_path / "a")
    with pytest.raises(ModelError, match="is an adapter of some/other-model, not of"):
        load_adapter(tmp_path / "a", base)


def test_tensors_of_another_shape_are_refused(base):
    with attached(base, LORA) as model:
        state = {n: torch.zeros(t.shape[0] + 1, t.shape[1]) for n, t in adapter_state(model).items()}
    with pytest.raises(ModelError, match="the adapter's tensors do not fit"), attached(base, LORA, state):
        pass


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"id": "no/such-folder/here"}, "'no/such-folder/here' cannot be loaded"),
        ({"device": "abacus"}, "'abacus' is not a device"),
        ({"device": "cuda:99"}, "'cuda:99' is not available"),
    ],
)
def test_models_that_cannot_be_loaded(settings, message, tiny_model):
    with pytest.raises(ModelError, match=message):
        load_base(ModelSettings(**({"id": str(tiny_model)} | settings)))


def test_a_folder_without_a_trajectory(tmp_path):
    with pytest.raises(ModelError, match="contains no checkpoint"):
        load_trajectory(tmp_path)
