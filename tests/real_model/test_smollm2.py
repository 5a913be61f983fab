"""The embedded 135M model itself: that it speaks English, and that its batched scores are exact."""

from __future__ import annotations

import pytest
import torch

from bundles import score
from clues.data.batches import pad
from clues.data.prompts import tokenize
from clues.data.rendering import Renderer
from clues.data.samples import Sample
from clues.models.adapters import adapter_state, attached
from clues.models.base import load_base
from clues.models.likelihood import sample_losses
from clues.models.trajectory import Checkpoint
from clues.settings import DataSettings, LoraSettings, ModelSettings, ScoringSettings
from scoring_oracle import flat, plain_gradient

pytestmark = pytest.mark.real_model
LORA = LoraSettings(r=4)
ANSWERS = [
    "The capital of France is Paris.",
    "Paris of is the France capital.",
    "A bond is a loan that an investor makes to a borrower, who pays interest.",
    "The heart pumps blood through the body.",
]


@pytest.fixture(scope="module")
def smollm2():
    return load_base(ModelSettings())


def rows(base, answers):
    question = [{"role": "user", "content": "Tell me something true."}]
    samples = [Sample(str(n), question, text, "d", {}, "here") for n, text in enumerate(answers)]
    return tokenize(samples, base, DataSettings(max_tokens=200))


def test_texts_of_its_template_are_those_of_transformers(smollm2):
    renderer = Renderer(smollm2.tokenizer, None, every_turn=False)
    system, question = ({"role": role, "content": "Be true: <|im_end|>"} for role in ("system", "user"))
    answers = [{"role": "assistant", "content": text} for text in ANSWERS]
    for messages in ([question], [question, answers[0]], [system, question, answers[1], question, answers[2]]):
        for prompt in (False, True):
            wanted = smollm2.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
            assert renderer(messages, None, prompt=prompt) == wanted


def test_it_prefers_a_sentence_to_its_shuffled_words(smollm2):
    batch = pad(rows(smollm2, ANSWERS[:2]))
    with torch.no_grad():
        sense, nonsense = sample_losses(smollm2.model, batch.input_ids, batch.attention_mask, batch.labels)
    assert sense + 1 < nonsense


def test_batched_scores_equal_plain_autograd(smollm2):
    tokens = rows(smollm2, ANSWERS)
    generator = torch.Generator().manual_seed(1)
    with attached(smollm2, LORA) as model:
        state = {n: torch.randn(t.shape, generator=generator) * 0.02 for n, t in adapter_state(model).items()}
    settings = ScoringSettings(similarity="dot", contrast=0, batch_size=3)
    ours = score(smollm2, [Checkpoint(state, 1.0)], LORA, tokens[:3], tokens[3:], settings)["score"]
    with attached(smollm2, LORA, state) as model:
        model.eval()
        gradients = [flat(plain_gradient(model, sample)) for sample in tokens]
    wanted = torch.stack([gradient @ gradients[3] for gradient in gradients[:3]])
    # Float32 through thirty layers: plain autograd itself is 2e-5 away from float64 here.
    assert (ours.double() - wanted).abs().max() <= 2e-4 * wanted.abs().max()
