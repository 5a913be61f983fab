"""Every layout becomes the same conversation, is written back in its own form, and loses nothing in silence."""

from __future__ import annotations

import pytest

from clues.data.layouts.dialects import DIALECTS, FieldError, detect, tools, unknown_layout

USER, ANSWER = {"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}
SYSTEM = {"role": "system", "content": "s"}
EARLIER = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
CALL = {"id": "c", "type": "function", "function": {"name": "price", "arguments": '{"of": "bond"}'}}
CALLED = {"id": "c", "type": "function", "function": {"name": "price", "arguments": {"of": "bond"}}}


def read(record):
    layout = detect(record)
    return layout.name, *layout.read(record)


@pytest.mark.parametrize(
    ("record", "name", "context"),
    [
        ({"conversations": [{"from": "human", "value": "p"}, {"from": "gpt", "value": "r"}]}, "sharegpt", [USER]),
        (
            {
                "system": "s",
                "conversations": [
                    {"from": "human", "value": "a"},
                    {"from": "gpt", "value": "b"},
                    {"from": "human", "value": "p"},
                    {"from": "gpt", "value": "r"},
                ],
            },
            "sharegpt",
            [SYSTEM, *EARLIER, USER],
        ),
        ({"conversations": [USER, ANSWER]}, "sharegpt", [USER]),
        ({"messages": [{"from": "user", "value": "p"}, {"from": "assistant", "value": "r"}]}, "messages", [USER]),
        ({"messages": [{"role": "system", "content": ""}, USER, ANSWER]}, "messages", [USER]),
        ({"messages": [{"role": "system", "content": None}, USER, ANSWER]}, "messages", [USER]),
        ({"messages": [SYSTEM, USER, ANSWER], "system": "s"}, "messages", [SYSTEM, USER]),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "p"}]}, ANSWER]},
            "messages",
            [USER],
        ),
        ({"prompt": [SYSTEM, USER], "completion": [ANSWER]}, "prompt-completion", [SYSTEM, USER]),
        ({"prompt": "p", "completion": [ANSWER]}, "prompt-completion", [USER]),
        ({"prompt": "p", "response": "r", "system": "s"}, "prompt-response", [SYSTEM, USER]),
        ({"prompt": "p", "response": "r", "system_prompt": "s", "system": " "}, "prompt-response", [SYSTEM, USER]),
        ({"prompt": "p", "response": "r", "history": [["a", "b"]]}, "prompt-response", [*EARLIER, USER]),
        ({"question": "p", "answer": "r", "system": "s"}, "question-answer", [SYSTEM, USER]),
        ({"system_prompt": "s", "question": "p", "response": "r"}, "question-response", [SYSTEM, USER]),
        ({"instruction": "p", "input": " ", "output": "r"}, "alpaca", [USER]),
        ({"instruction": "p", "input": float("nan"), "output": "r"}, "alpaca", [USER]),
        (
            {"instruction": "p", "output": "r", "system": "s", "history": [["a", "b"]]},
            "alpaca",
            [SYSTEM, *EARLIER, USER],
        ),
        ({"instruction": "p", "output": "r", "system": "", "history": []}, "alpaca", [USER]),
        ({"instruction": "p", "output": "r", "history": EARLIER}, "alpaca", [*EARLIER, USER]),
        ({"instruction": "p", "response": "r", "context": "", "category": "x"}, "instruction-response", [USER]),
        (
            {"context": "the passage", "question": "p", "answer": "r"},
            "question-answer",
            [{"role": "user", "content": "the passage\n\np"}],
        ),
        (
            {"passage": "the passage", "question": "p", "answer": "r", "context": None},
            "question-answer",
            [{"role": "user", "content": "the passage\n\np"}],
        ),
    ],
)
def test_every_layout_is_read_and_written_back(record, name, context):
    assert read(record) == (name, context, "r")
    layout = DIALECTS[name]
    changed = layout.write(record, "another")
    assert layout.read(changed) == (context, "another")
    assert layout.write(changed, "r").keys() == record.keys()
    assert layout.read(record) == (context, "r")  # nothing was changed in place
    assert layout.unused(record) == (["category"] if "category" in record else [])


def test_calls_of_tools_stay_in_the_conversation_with_what_they_give():
    reply = {"role": "tool", "tool_call_id": "c", "name": "price", "content": "fixed"}
    asked = {"role": "assistant", "content": None, "tool_calls": [CALL], "name": None}
    described = [{"type": "function", "function": {"name": "price", "strict": None}}]
    record = {"messages": [USER, asked, reply, ANSWER], "tools": described}
    name, context, response = read(record)
    assert (name, response) == ("messages", "r")
    assert context == [USER, {"role": "assistant", "content": "", "tool_calls": [CALLED]}, reply]
    assert tools(record) == [{"type": "function", "function": {"name": "price"}}]
    assert CALL["function"]["arguments"] == '{"of": "bond"}'
    assert detect(record).unused(record) == []


def test_calls_of_sharegpt_and_of_the_older_form_are_calls():
    function = {"name": "price", "arguments": {"of": "bond"}}
    called = [{"type": "function", "function": function}]
    text = '{"name": "price", "arguments": {"of": "bond"}}'
    turns = [
        {"from": "human", "value": "p"},
        {"from": "function_call", "value": text},
        {"from": "observation", "value": "fixed"},
        {"from": "gpt", "value": "r"},
    ]
    expected = [
        USER,
        {"role": "assistant", "content": "", "tool_calls": called},
        {"role": "tool", "content": "fixed"},
    ]
    record = {"conversations": turns, "tools": '[{"name": "price"}]'}
    assert read(record)[1:] == (expected, "r")
    assert tools(record) == [{"name": "price"}]
    older = [
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "price", "arguments": '{"of": "bond"}'}},
        {"role": "function", "content": "fixed"},
        ANSWER,
    ]
    assert read({"messages": older})[1] == expected


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]}, "ends with a call of a tool"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, r"messages\[1\]' is unusable: field 'content'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}, ANSWER]},
            r"messages\[0\]\.content\[0\]' is a part that is not text",
        ),
        ({"messages": [{"content": "p"}, ANSWER]}, r"messages\[0\]' has no role"),
        ({"messages": [SYSTEM, ANSWER]}, "no prompt before the response"),
        ({"messages": '[{"role": "user"}]'}, "one text and not a list of messages"),
        ({"conversations": [{"from": "PRIVATE", "value": "p"}]}, r"\[0\]\.from' is not a known role"),
        ({"conversations": [{"from": "human", "value": "p"}]}, "does not end with a message of the assistant"),
        ({"instruction": "p", "output": "r", "history": [["a"]]}, r"history\[0\]' is not a pair of texts"),
        ({"instruction": "p", "output": "r", "history": [["a", ""]]}, r"history\[0\]\[1\]' is empty"),
        ({"instruction": "p", "output": "r", "history": "PRIVATE"}, "history' is not a list of earlier turns"),
        ({"prompt": "p\0", "response": "r"}, "field 'prompt' contains a NUL character at character 2"),
        ({"prompt": "p", "response": "r\ud800"}, "field 'response' contains half of a surrogate pair"),
        ({"prompt": "p", "response": 3.5}, r"'response' is not a text \(a number\)"),
        ({"prompt": "p", "response": float("inf")}, "field 'response' is missing"),
        ({"prompt": "p", "response": "r", "system": {"a": 1}}, r"field 'system' is not a text \(an object\)"),
    ],
)
def test_what_cannot_be_used_names_its_field_and_no_text(record, message):
    with pytest.raises(FieldError, match=message) as caught:
        read(record)
    assert "PRIVATE" not in str(caught.value)


def test_tools_that_cannot_be_used_name_their_field():
    for wrong in ("PRIVATE", [1], {"a": 1}, [{"name": "\ud800"}]):
        with pytest.raises(FieldError, match="field 'tools'"):
            tools({"tools": wrong})
    assert tools({"tools": "null"}) is None


def test_fields_that_play_no_part_are_named():
    record = {"prompt": "p", "response": "r", "source": "x", "year": 3, "note": " ", "context": "c"}
    assert detect(record).unused(record) == ["source", "year", "context"]
    messages = [{**USER, "weight": 1}, {**ANSWER, "reasoning_content": "hm"}]
    record = {"messages": messages, "prompt": "p"}
    assert detect(record).unused(record) == ["prompt", "messages[].weight", "messages[-1].reasoning_content"]


@pytest.mark.parametrize(
    ("record", "advice"),
    [
        ({"Prompt": "p", "Response ": "r"}, "prompt-response: rename 'Prompt' to prompt"),
        ({"prompt": "p", "chosen": "r", "rejected": "x"}, "pairs of preferences: rename 'chosen'"),
        ({"text": "t"}, "whole texts"),
        ({"question": "p", "answers": {}}, "answers to choose from"),
        ({"instruction": "p", "result": "r"}, "alpaca without the field output: give it that name, or add output"),
        ({"conversation": []}, "rename that field to messages"),
    ],
)
def test_an_unknown_layout_names_the_nearest_and_the_remedy(record, advice):
    assert detect(record) is None
    assert advice in unknown_layout(record)


def test_names_that_may_be_private_text_are_not_shown():
    told = unknown_layout({"Does Anna Smith have the flu?": "Yes, she has.", "id": "1"})
    assert "Anna" not in told
    assert "fields a name of 29 characters, id fit no known dialect" in told
