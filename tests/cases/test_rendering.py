"""Chat templates as models bring them: what is prompt, what carries loss, and what is refused."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from tokenizers import Tokenizer, models, normalizers, trainers
from transformers import PreTrainedTokenizerFast

from clues.data.prompts import tokenize
from clues.data.samples import Sample
from clues.errors import DataError
from clues.settings import DataSettings
from templates import CLOCK, DROPS_SYSTEM, EMPTY_THOUGHT, HEADER, NO_END, NO_HEADER, NO_SYSTEM, TURNS


def question(text: str = "what is a bone") -> dict[str, str]:
    return {"role": "user", "content": text}


def sample(response: str = "a heart", *context: dict, place: str = "file.jsonl, line 1", **more) -> Sample:
    return Sample("x", list(context) or [question()], response, "d", {}, place, **more)


@pytest.fixture
def with_template(base):
    def make(template):
        tokenizer = copy.deepcopy(base.tokenizer)
        tokenizer.chat_template = template
        return replace(base, tokenizer=tokenizer)

    return make


def texts(base, item: Sample, data: DataSettings = DataSettings()) -> tuple[str, str]:
    (row,) = tokenize([item], base, data)
    decode = base.tokenizer.decode
    return decode(row.input_ids[: row.response_start]), decode(row.response)


def test_the_header_is_prompt_though_the_template_writes_no_generation_prompt(with_template):
    prompt, response = texts(with_template(NO_HEADER), sample())
    assert prompt == "<s>user\nwhat is a bone</s>\n<s>assistant\n"
    assert response == "a heart</s>"


def test_a_response_of_which_the_header_holds_a_part(with_template):
    assert texts(with_template(NO_HEADER), sample("a")) == ("<s>user\nwhat is a bone</s>\n<s>assistant\n", "a</s>")


def test_an_end_token_is_added_where_the_template_writes_none(with_template):
    prompt, response = texts(with_template(NO_END), sample())
    assert (prompt + response).endswith("ASSISTANT: a heart</s>")
    assert response.strip() == "a heart</s>"


def test_without_any_end_token_it_is_told(with_template, capsys):
    base = with_template(NO_END)
    base.tokenizer.eos_token = None
    (row,) = tokenize([sample()], base)
    assert not row.ends
    assert "has no end token" in capsys.readouterr().err


def test_an_empty_thought_of_the_template_is_prompt_and_one_of_the_sample_is_response(with_template):
    base = with_template(EMPTY_THOUGHT)
    prompt, response = texts(base, sample())
    assert (prompt.endswith("<think>\n\n</think>\n\n"), response) == (True, "a heart</s>")
    prompt, response = texts(base, sample("<think>\na bone</think>\n\na heart"))
    assert (prompt.endswith("<s>assistant\n"), response) == (True, "<think>\na bone</think>\n\na heart</s>")


SYSTEM = {"role": "system", "content": "be a nerve"}


@pytest.mark.parametrize(
    ("template", "context", "message"),
    [
        (NO_SYSTEM, [SYSTEM, question()], r"refuses it \(No system role\); move the system turn into the first"),
        (DROPS_SYSTEM, [SYSTEM, question()], "leaves out the turn of role 'system'"),
        ("{{ messages[0].nothing.at_all }}", [question()], "refuses it"),
        ("{{ messages[0]['content'] + 1 }}", [question()], r"refuses it \(TypeError\)"),
        ("{% for x in %}", [question()], "refuses it"),
        ("nothing", [question()], "leaves out the turn of role 'user'"),
        ("{% for m in messages %}{{ m['content'] | lower }}{% endfor %}", [question()], "changes the response"),
    ],
)
def test_what_a_template_refuses_or_leaves_out_is_told_of_all_at_once(with_template, template, context, message):
    items = [sample("a", *context, place=f"file.jsonl, line {n}") for n in (1, 2)]
    with pytest.raises(DataError, match=message) as caught:
        tokenize(items, with_template(template))
    assert str(caught.value).startswith("file.jsonl, line 1 and 1 more: the model's chat template")
    assert "data.template" in str(caught.value)


def test_tool_calls_stand_in_the_prompt_or_are_refused(with_template):
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "price", "arguments": {}}}]}
    context = [question(), call, {"role": "tool", "content": "4"}]
    shows = (
        TURNS.replace("{{ m['content'] }}", "{{ m['content'] }}{{ m.tool_calls | tojson if m.tool_calls }}") + HEADER
    )
    assert "price" in texts(with_template(shows), sample("four", *context))[0]
    with pytest.raises(DataError, match="leaves out the tool call"):
        tokenize([sample("four", *context)], with_template(TURNS + HEADER))
    with pytest.raises(DataError, match="no chat template, which tool calls need"):
        tokenize([sample("four", *context)], with_template(None))


def test_several_templates_need_a_name(with_template, tmp_path):
    base = with_template({"rag": TURNS + HEADER, "tool_use": NO_END})
    with pytest.raises(DataError, match=r"several chat templates; name one by data\.template: rag, tool_use"):
        tokenize([sample()], base)
    assert texts(base, sample(), DataSettings(template="tool_use"))[0].startswith("USER: ")
    file = tmp_path / "own.jinja"
    file.write_text(NO_END)
    assert texts(base, sample(), DataSettings(template=str(file)))[0].startswith("USER: ")


def test_a_template_with_a_clock_gives_the_same_tokens_at_any_time(with_template, capsys):
    base = with_template(CLOCK)
    one, two = (tokenize([sample()], base) for _ in range(2))
    assert one == two
    assert "01 January 2025" in base.tokenizer.decode(one[0].input_ids)
    assert "1 January 2025 is always used instead" in capsys.readouterr().err


def test_a_clock_whose_format_the_template_computes_stands_still_too(with_template, tmp_path, capsys):
    file = tmp_path / "own.jinja"
    file.write_text("{% set day = '%d' %}<s>{{ strftime_now(day ~ ' %H:%M:%S.%f') }}</s>" + TURNS + HEADER)
    base = with_template(TURNS + HEADER)
    one, two = (tokenize([sample()], base, DataSettings(template=str(file))) for _ in range(2))
    assert one == two
    assert "<s>01 January 2025</s>" in base.tokenizer.decode(one[0].input_ids)
    assert "1 January 2025 is always used instead" in capsys.readouterr().err


def test_no_token_stands_for_a_space_that_is_nowhere_in_the_text(base):
    """A tokenizer that puts a space before every text, as those made by SentencePiece do."""
    raw = Tokenizer(models.BPE(byte_fallback=True))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    alphabet = [chr(n) for n in range(32, 127)] + ["▁", "\n"]
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    raw.train_from_iterator(["the heart the heart the bone"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}|{{ m['role'] }}|\n{{ m['content'] }}</s>{% endfor %}"
    (row,) = tokenize([sample("the heart")], replace(base, tokenizer=tokenizer))
    whole = tokenizer("|user|\nwhat is a bone</s>|assistant|\nthe heart</s>", add_special_tokens=False).input_ids
    assert row.input_ids == whole
    assert not tokenizer.convert_ids_to_tokens(row.response)[0].startswith("▁")


def test_control_tokens_that_people_typed_are_text(with_template, capsys):
    base = with_template(TURNS + HEADER)
    (row,) = tokenize([sample("the tag </s> ends", question("what does </s> mean"))], base)
    ends = [token for token in row.input_ids if token == base.tokenizer.eos_token_id]
    assert len(ends) == 2  # of the two turns
    assert base.tokenizer.decode(row.response) == "the tag </s> ends</s>"
    assert "1 of 1 samples contain control tokens" in capsys.readouterr().err


def test_every_turn_of_the_assistant_carries_loss_where_asked(with_template):
    from clues.data.batches import IGNORED, pad

    base = with_template(TURNS + HEADER)
    context = [question("a"), {"role": "assistant", "content": "the bone"}, question("b")]
    for which, expected in (("last", "a heart</s>"), ("all", "the bone</s>a heart</s>")):
        (row,) = tokenize([sample("a heart", *context)], base, DataSettings(responses=which))
        labels = [label for label in pad([row]).labels[0].tolist() if label != IGNORED]
        assert base.tokenizer.decode(labels) == expected
        assert row.response_tokens == len(labels)


def test_a_sentencepiece_model_without_places_has_the_same_tokens(with_template):
    """A slow tokenizer cannot tell where a token stands in the text."""
    base = with_template(TURNS + HEADER)
    fast = tokenize([sample()], base)
    base.tokenizer.__class__ = type("Slow", (base.tokenizer.__class__,), {"is_fast": False})
    assert tokenize([sample()], base) == fast
