"""Trained tensors and layouts of activations: scored rightly, or refused by name; memory and numbers that run out."""

from __future__ import annotations

import sys

import pytest
import torch
from peft import LoraConfig
from torch import nn
from transformers import Trainer, TrainingArguments

import clues.passes.memory as memory
from bundles import fit, job, score, scores
from clues.data.batches import pad
from clues.data.tokens import Tokens
from clues.errors import ConfigError, ScoringError
from clues.evaluation.likelihood import evaluate
from clues.methods.registry import METHODS
from clues.models.adapters import adapter_state, attached, lora_modules
from clues.models.base import Base
from clues.models.trajectory import Checkpoint, Trained
from clues.passes.agreement import mean_shares
from clues.passes.gradients import check_modules
from clues.settings import LoraSettings, ScoringSettings, TrainingSettings
from clues.training.callbacks import ShowProgress
from clues.training.fit import _collate, _Dataset, total_steps
from clues.training.in_run import InRunScorer
from families import family_base
from scoring_oracle import flat, plain_gradient

PLAIN = {"r": 2, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
CLUES = ScoringSettings(method="clues", similarity="dot")


def tokens(count: int, prefix: str = "s") -> list[Tokens]:
    generator = torch.Generator().manual_seed(len(prefix) + count)
    lengths = torch.randint(6, 16, (count,), generator=generator).tolist()
    ids = [torch.randint(3, 90, (length,), generator=generator).tolist() for length in lengths]
    return [Tokens(f"{prefix}{n}", "d", row, len(row) // 2, False) for n, row in enumerate(ids)]


def state_of(base: Base, lora, scale: float = 0.1) -> dict[str, torch.Tensor]:
    with attached(base, lora, seed=1) as model:
        generator = torch.Generator().manual_seed(3)
        return {n: torch.randn(t.shape, generator=generator) * scale for n, t in adapter_state(model).items()}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"target_modules": ["q_proj", "embed_tokens"]}, "embed_tokens is trained"),
        ({"modules_to_save": ["lm_head"]}, "lm_head is trained"),
        ({"use_dora": True}, "q_proj.* is trained"),
        ({"trainable_token_indices": {"embed_tokens": [3]}}, "embed_tokens.* is trained"),
    ],
)
def test_what_is_trained_and_cannot_be_scored_is_refused_by_name(options, name):
    base = family_base("llama")
    with pytest.raises(ConfigError, match=f"lora.target_modules: .*{name}, and only A and B of linear layers"):
        check_modules(base, LoraConfig(**(PLAIN | options)), pattern="*")


def test_what_the_chosen_modules_leave_out_may_be_trained():
    base = family_base("llama")
    with attached(base, LoraConfig(**(PLAIN | {"target_modules": ["q_proj", "embed_tokens"]}))) as model:
        assert len(lora_modules(model, "*q_proj*")) == 2


def test_a_target_that_is_nowhere_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"lora\.target_modules: gate is no module"):
        check_modules(family_base("llama"), LoraSettings(target_modules=["q_proj", "gate"]), pattern="*")


def test_biases_of_an_adapter_are_part_of_the_gradient():
    base = family_base("gpt2")
    lora = LoraConfig(**(PLAIN | {"target_modules": ["c_fc"], "lora_bias": True}))
    state = state_of(base, lora)
    samples, validation = tokens(4), tokens(2, "val")
    with attached(base, lora, state) as model:
        model.eval()
        direction = torch.stack([flat(plain_gradient(model, item)) for item in validation]).mean(0)
        expected = torch.stack([flat(plain_gradient(model, item)) for item in samples]) @ direction
    assert any("bias" in name for name in state)
    found = score(base, [Checkpoint(state, 1.0)], lora, samples, validation, CLUES)["dot"].double()
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * expected.abs().max())


class Twice(nn.Module):
    """An attention projection that is used twice in one forward."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.inner = linear

    def forward(self, x):
        return self.inner(x) + 0.5 * self.inner(2 * x)


class Regrouped(Twice):
    def forward(self, x):
        return self.inner(x.reshape(1, -1, x.shape[-1])[:, : x.shape[0] * x.shape[1] // 2]).sum() + self.inner(x)


def wrapped(wrapper) -> Base:
    base = family_base("llama")
    for layer in base.model.model.layers:
        layer.self_attn.v_proj = wrapper(layer.self_attn.v_proj)
    return base


def test_a_linear_that_is_used_twice_has_the_sum_of_both_uses():
    base, lora = wrapped(Twice), LoraSettings(r=2, target_modules=["inner"])
    state, samples, validation = state_of(base, lora), tokens(4), tokens(2, "val")
    with attached(base, lora, state) as model:
        model.eval()
        direction = torch.stack([flat(plain_gradient(model, item)) for item in validation]).mean(0)
        gradients = torch.stack([flat(plain_gradient(model, item)) for item in samples])
    found = score(base, [Checkpoint(state, 1.0)], lora, samples, validation, CLUES)
    expected = gradients @ direction
    assert torch.allclose(found["dot"].double(), expected, rtol=1e-5, atol=1e-5 * expected.abs().max())
    assert torch.allclose(found["norm"].double(), gradients.norm(dim=1), rtol=1e-5)


def test_a_module_that_regroups_tokens_is_refused_by_name():
    base, lora = wrapped(Regrouped), LoraSettings(r=2, target_modules=["inner"])
    refused = r"v_proj\.inner' sees tokens as 1 × .* leave that module out"
    with pytest.raises(ScoringError, match=refused):
        check_modules(base, lora, pattern="*")  # before anything heavy
    with pytest.raises(ScoringError, match=refused):
        score(base, [Checkpoint(state_of(base, lora), 1.0)], lora, tokens(4), tokens(2, "val"), CLUES)


# While training


def in_run(base: Base, lora: LoraSettings, size: int, **options) -> torch.Tensor:
    samples, public = tokens(8), tokens(3, "public")
    torch.manual_seed(0)
    with attached(base, lora, seed=1) as model:
        arguments = TrainingArguments(
            output_dir="unused",
            per_device_train_batch_size=size,
            max_steps=8 // size,
            learning_rate=0.0,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
            **options,
        )
        if options.get("gradient_checkpointing"):
            model.enable_input_require_grads()
        trainer = Trainer(model=model, args=arguments, train_dataset=_Dataset(samples), data_collator=_collate)
        settings = ScoringSettings(walk="in-run", similarity="dot", refreshes=1)
        scorer = InRunScorer(trainer, validation=public, anchors=public, settings=settings)
        trainer.add_callback(scorer)
        trainer.train()
        return scorer.columns()[0]["score"]


@pytest.mark.parametrize("targets", [["q_proj"], ["q_proj", "lm_head"]])
def test_in_run_scores_do_not_depend_on_the_batch(targets):
    lora = LoraSettings(r=2, target_modules=targets)
    one, many = (in_run(family_base("llama"), lora, size) for size in (1, 4))
    assert torch.allclose(one, many, rtol=1e-4, atol=1e-5)
    assert len(set(many.tolist())) == 8


@pytest.mark.parametrize("reentrant", [True, False])
def test_in_run_scores_do_not_depend_on_gradient_checkpointing(reentrant):
    lora = LoraSettings(r=2)
    options = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": reentrant}}
    plain = in_run(family_base("llama"), lora, 4)
    assert torch.allclose(in_run(family_base("llama"), lora, 4, **options), plain, rtol=1e-4, atol=1e-6)


# Memory and numbers


def all_methods(base: Base, state, samples, public) -> dict[str, torch.Tensor]:
    lora = LoraSettings(r=2)
    trained = Trained(lora, [Checkpoint(state, 1.0, 1, state, {n: t.square() for n, t in state.items()})])
    return {
        name: scores(job(base, samples, public[:3], public[3:], scoring={"method": name}), trained).score
        for name in METHODS
    }


def with_head(base: Base) -> Base:
    """As `family_base`, with a tokenizer that knows where a text begins (for ifd)."""
    tokenizer = type("Tokenizer", (), {"bos_token_id": 0, "eos_token_id": 1, "get_vocab": dict})()
    tokenizer.special_tokens_map, tokenizer.chat_template = {}, ""
    return Base(base.name, base.model, tokenizer)


def test_every_method_goes_on_in_halves_where_memory_runs_out(monkeypatch):
    base, lora = with_head(family_base("llama")), LoraSettings(r=2)
    state, samples, public = state_of(base, lora), tokens(6), tokens(7, "public")
    whole = all_methods(base, state, samples, public)
    original = base.model.forward

    def small(*arguments, input_ids=None, **options):
        if len(input_ids) > 1:
            raise torch.OutOfMemoryError
        return original(*arguments, input_ids=input_ids, **options)

    monkeypatch.setattr(base.model, "forward", small)
    halved = all_methods(base, state, samples, public)
    for name, values in whole.items():
        assert torch.allclose(halved[name].double(), values.double(), rtol=1e-3, atol=1e-4), name


def test_the_retry_holds_nothing_of_the_first_try():
    """A handler's traceback keeps every tensor of the failed pass alive."""

    def work(batch):
        assert sys.exc_info() == (None, None, None)
        if len(batch.rows) > 1:
            raise torch.OutOfMemoryError
        return batch.rows

    assert memory.in_halves(work, pad(tokens(3))) == [[0], [1], [2]]
    with pytest.raises(ScoringError, match="one sample alone does not fit into memory"):
        memory.in_halves(lambda batch: (_ for _ in ()).throw(torch.OutOfMemoryError()), pad(tokens(1)))


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("length", "overlap", "random")])
def test_a_loss_that_is_no_number_is_refused_with_the_sample(method):
    base, lora = with_head(family_base("llama")), LoraSettings(r=2)
    state, samples, public = state_of(base, lora), tokens(4), tokens(7, "public")
    base.model.get_input_embeddings().weight[samples[2].input_ids[-2]] = torch.nan
    trained = Trained(lora, [Checkpoint(state, 1.0, 1, state, {n: t.square() for n, t in state.items()})])
    given = job(base, samples, public[:3], public[3:], scoring={"method": method})
    with pytest.raises(ScoringError, match=r"sample '.+': its .+ is nan; use model.dtype float32"):
        scores(given, trained)


def test_a_learning_rate_of_zero_divides_nothing():
    assert mean_shares([0.0, 0.0]) == [0.5, 0.5]
    assert mean_shares([1.0, 3.0]) == [0.25, 0.75]
    base, lora = family_base("llama"), LoraSettings(r=2)
    points = [Checkpoint(state_of(base, lora), 0.0)]
    found = score(base, points, lora, tokens(3), tokens(2, "val"), ScoringSettings(method="clues"))
    assert torch.isfinite(found["score"]).all()
    assert found["score"].any()


def test_a_warmup_over_the_whole_training_is_that_and_not_one_step(monkeypatch):
    base, rates = family_base("llama"), []
    settings = TrainingSettings(steps=5, batch_size=2, warmup_share=1.0, learning_rate=1e-2, schedule="constant")

    class Watch(ShowProgress):
        def on_pre_optimizer_step(self, args, state, control, **things):
            rates.append(things["optimizer"].param_groups[0]["lr"])

    monkeypatch.setattr("clues.training.fit.ShowProgress", Watch)
    fit(base, LoraSettings(r=2), tokens(4), settings, seed=1)
    assert total_steps(4, settings) == 5
    assert rates == pytest.approx([0.0, 0.002, 0.004, 0.006, 0.008])


def test_a_test_whose_loss_is_no_number_is_refused_with_its_id():
    base, tests = family_base("llama"), tokens(3, "test")
    base.model.get_input_embeddings().weight[tests[1].input_ids[-2]] = torch.nan
    with pytest.raises(ScoringError, match=r"sample 'test\d': its loss is nan; use model.dtype float32"):
        evaluate(base.model, tests, batch_tokens=4096, what="evaluating")
