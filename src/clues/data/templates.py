"""Filling in chat templates as transformers does; the one file that stands on its internals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clues.data.layouts.turns import Message

Tokenizer = Any  # transformers.PreTrainedTokenizerBase
Fill = Callable[[Sequence[Message], bool], str]  # messages, and whether the generation prompt is appended

# Other fields, such as a thought, transformers gives to the template under several names.
_PLAIN = {"role", "content", "name", "tool_call_id"}


def is_plain(messages: Sequence[Message]) -> bool:
    """Whether messages are such that transformers gives them to a template as they are."""
    return bool(messages) and all(
        name in _PLAIN and type(value) is str for message in messages for name, value in message.items()
    )


def compiled(tokenizer: Tokenizer, template: str) -> Fill | None:
    """A function that fills a template with plain messages and without tools. The texts are those of transformers.

    Its `apply_chat_template` copies each conversation twice and collects the variables that all share again for each,
    which takes several times as long as the template itself.

    Returns:
        None where the tokenizer has a method of its own, or transformers compiles templates in another place.

    Raises:
        jinja2.TemplateError: the template is none.
    """
    from transformers import PreTrainedTokenizerBase
    from transformers.utils import chat_template_utils

    method = getattr(tokenizer.apply_chat_template, "__func__", None)
    compile_template = getattr(chat_template_utils, "_compile_jinja_template", None)
    if method is not PreTrainedTokenizerBase.apply_chat_template or compile_template is None:
        return None
    made = compile_template(template)
    shared = {**made.globals, "tools": None, "documents": None, **tokenizer.special_tokens_map}

    def fill(messages: Sequence[Message], prompt: bool) -> str:
        values = {**shared, "messages": list(messages), "add_generation_prompt": prompt}
        context = made.new_context(values, shared=True)
        return made.environment.concat(made.root_render_func(context))

    return fill
