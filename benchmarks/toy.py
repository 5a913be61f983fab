"""A language of invented things and a tiny model that has read it, for benchmarks that train many models.

A thing has a name of two syllables, which determine what it is: `kibo is a small stone that floats in rivers`. The
model has read about things with half of these facts wrong: it knows the form, and can still learn.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

_FIRST, _LAST, _LOOKS, _THINGS, _DOES, _WHERE = (
    line.split()
    for line in """
ki lo ma nu pe ri sa tu vo wi xa ye zo be da fi
bo ca du ne gi ha jo ku la mi na pu ro se ta vu
small large red green round flat cold warm old young soft hard bright dark wet dry
stone bird plant fish tool boat lamp coat bread drum wheel rope cup bell tree mill
floats sings grows swims turns sails shines folds rises sounds rolls bends fills rings leans grinds
rivers woods fields lakes towns seas caves halls ovens tents roads bays rooms towers hills barns
""".strip().splitlines()
)
_TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def write_samples(path: Path, seed: int) -> Path:
    """Every thing once, in random order."""
    names = [(first, last) for first in range(len(_FIRST)) for last in range(len(_LAST))]
    random.Random(seed).shuffle(names)
    rows = [_record(first, last, facts=(first, last, first, last)) for first, last in names]
    path.write_text("".join(json.dumps({"id": str(n), **row}) + "\n" for n, row in enumerate(rows)))
    return path


def write_model(folder: Path, *, steps: int = 600, seed: int = 0) -> Path:
    """Two layers of 64 dimensions, trained for some seconds."""
    rng = random.Random(seed)
    tokenizer = _tokenizer(next(_half_true(rng)) for _ in range(2000))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    size = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **size, **heads, **ends))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    texts = _half_true(rng)
    for _ in range(steps):
        rows = [torch.tensor(tokenizer(next(texts))["input_ids"]) for _ in range(32)]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
        loss = model(tokens.clamp(min=0), attention_mask=(tokens >= 0).long(), labels=tokens).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def _record(first: int, last: int, *, facts: tuple[int, int, int, int]) -> dict[str, str]:
    name = _FIRST[first] + " " + _LAST[last]
    looks, thing, does, where = facts
    response = f"{name} is a {_LOOKS[looks]} {_THINGS[thing]} that {_DOES[does]} in {_WHERE[where]}"
    return {"prompt": f"what is {name}", "response": response}


def _half_true(rng: random.Random) -> Iterator[str]:
    """Rendered samples whose facts are each right or wrong by chance."""
    while True:
        first, last = rng.randrange(len(_FIRST)), rng.randrange(len(_LAST))
        facts = [true if rng.random() < 0.5 else rng.randrange(16) for true in (first, last, first, last)]
        record = _record(first, last, facts=tuple(facts))  # type: ignore[arg-type]
        yield f"<s>user\n{record['prompt']}</s><s>assistant\n{record['response']}</s>"


def _tokenizer(texts: Iterator[str]) -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    raw.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = _TEMPLATE
    return tokenizer
