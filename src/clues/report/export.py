"""Kept samples in the formats of training tools, each with the snippet that starts it.

The formats are those that the tools document: TRL's conversational prompt-completion
(https://huggingface.co/docs/trl/dataset_formats), Axolotl's chat_template
(https://docs.axolotl.ai/docs/dataset-formats/conversation.html) and LLaMA-Factory's sharegpt
(https://llamafactory.readthedocs.io/en/latest/getting_started/data_preparation.html). In all of them the loss is on the
last response only, as in our own training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clues.data.sample import Sample
from clues.io.files import replace_whole, write_json, write_jsonl
from clues.settings import LoraSettings, TrainingSettings

Row = dict[str, Any]
_FILE, _NAME = "kept.jsonl", "clues_kept"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a snippet needs to know: base model, settings, and the folder that is written."""

    model: str
    lora: LoraSettings
    training: TrainingSettings
    max_tokens: int
    out: Path


def export(samples: Iterable[Sample], form: str, recipe: Recipe) -> str:
    """Write samples to `recipe.out` and return the snippet that uses them, which README.md holds too.

    Args:
        form: one of `FORMATS`.
    """
    write, snippet = FORMATS[form]
    language, text = snippet(recipe)

    def fill(part: Path) -> None:
        part.mkdir()
        write(samples, part)
        if language == "yaml":
            (part / f"{form}.yaml").write_text(text, encoding="utf-8")
        readme = f"# Samples that CLUES kept, for {form}\n\n{_START[form].format(out=recipe.out)}\n\n"
        (part / "README.md").write_text(f"{readme}```{language}\n{text}```\n", encoding="utf-8")

    replace_whole(recipe.out, fill)
    return f"{_START[form].format(out=recipe.out)}\n\n{text}"


def prompt_completion(sample: Sample) -> Row:
    """TRL's conversational prompt-completion; tools are JSON, as an Arrow column has one type."""
    row: Row = {"prompt": sample.context, "completion": [{"role": "assistant", "content": sample.response}]}
    return row | ({"tools": json.dumps(sample.tools, ensure_ascii=False)} if sample.tools else {})


def messages(sample: Sample) -> Row:
    """OpenAI's messages, with tools where there are any."""
    row: Row = {"messages": [*sample.context, {"role": "assistant", "content": sample.response}]}
    return row | ({"tools": sample.tools} if sample.tools else {})


def sharegpt(sample: Sample) -> Row:
    """LLaMA-Factory's sharegpt: system prompt and tools beside turns, which alternate.

    Texts of the same side in a row are joined by an empty line, as the tool would refuse them. Text beside a call of a
    tool has no place in this format and is left out.
    """
    context = sample.context
    opening = next((place for place, turn in enumerate(context) if turn["role"] not in _SYSTEM), len(context))
    turns: list[dict[str, str]] = []
    for turn in [*context[opening:], {"role": "assistant", "content": sample.response}]:
        speaker, text = _speech(turn)
        if turns and (turns[-1]["from"] in _ASKS) == (speaker in _ASKS):
            before = turns.pop()
            if "function_call" not in (speaker, before["from"]):
                text = f"{before['value']}\n\n{text}"
        turns.append({"from": speaker, "value": text})
    return {
        "conversations": turns,
        "system": "\n\n".join(turn["content"] for turn in context[:opening]),
        "tools": json.dumps(sample.tools, ensure_ascii=False) if sample.tools else "",
    }


_SYSTEM, _ASKS = ("system", "developer"), ("human", "observation")


def _speech(turn: Row) -> tuple[str, str]:
    """(speaker, text) of a message in LLaMA-Factory's words."""
    if turn.get("tool_calls"):
        calls = [call.get("function", call) for call in turn["tool_calls"]]
        value = [{"name": call["name"], "arguments": call.get("arguments", {})} for call in calls]
        return "function_call", json.dumps(value if len(value) > 1 else value[0], ensure_ascii=False)
    speakers = {"assistant": "gpt", "tool": "observation", "ipython": "observation"}
    return speakers.get(turn["role"], "human"), turn["content"]


def _lines(row: Callable[[Sample], Row]) -> Callable[[Iterable[Sample], Path], None]:
    return lambda samples, folder: write_jsonl(folder / _FILE, map(row, samples))


def _write_sharegpt(samples: Iterable[Sample], folder: Path) -> None:
    write_jsonl(folder / _FILE, map(sharegpt, samples))
    columns = {"messages": "conversations", "system": "system", "tools": "tools"}
    write_json(
        folder / "dataset_info.json", {_NAME: {"file_name": _FILE, "formatting": "sharegpt", "columns": columns}}
    )


def _write_dataset(samples: Iterable[Sample], folder: Path) -> None:
    from datasets import Dataset

    rows = [{"id": sample.id, "tools": None, **prompt_completion(sample)} for sample in samples]
    if not any(row["tools"] for row in rows):
        rows = [{key: value for key, value in row.items() if key != "tools"} for row in rows]
    # Calls of tools have arguments of their own, for which Arrow has no type.
    Dataset.from_list(rows, on_mixed_types="use_json").save_to_disk(str(folder / "kept"))


def _datasets_snippet(recipe: Recipe) -> tuple[str, str]:
    return "python", f'from datasets import load_from_disk\n\ndataset = load_from_disk("{recipe.out}/kept")\n'


def _trl_snippet(recipe: Recipe) -> tuple[str, str]:
    lora = (
        f"LoraConfig(r={recipe.lora.r}, lora_alpha={recipe.lora.alpha}, target_modules={recipe.lora.target_modules!r})"
    )
    return "python", (
        "from datasets import load_dataset\nfrom peft import LoraConfig\nfrom trl import SFTConfig, SFTTrainer\n\n"
        f'dataset = load_dataset("json", data_files="{recipe.out}/{_FILE}", split="train")\n'
        f'args = SFTConfig(output_dir="{recipe.out}/model", max_length={recipe.max_tokens}, '
        f"learning_rate={recipe.training.learning_rate})\n"
        f'SFTTrainer("{recipe.model}", args=args, train_dataset=dataset, peft_config={lora}).train()\n'
    )


def _modules(modules: Sequence[str] | str, *, joined: bool) -> Any:
    """Target modules as a tool writes them: a list, or names joined by commas."""
    return modules if isinstance(modules, str) else ",".join(modules) if joined else list(modules)


def _axolotl_snippet(recipe: Recipe) -> tuple[str, str]:
    modules = _modules(recipe.lora.target_modules, joined=False)
    linear = "lora_target_linear: true" if modules == "all-linear" else f"lora_target_modules: {json.dumps(modules)}"
    return "yaml", (
        f"base_model: {recipe.model}\n"
        f"datasets:\n  - path: {recipe.out}/{_FILE}\n    ds_type: json\n    type: chat_template\n"
        "    roles_to_train: # none but the last message\n    train_on_eos:\n"
        f"adapter: lora\nlora_r: {recipe.lora.r}\nlora_alpha: {recipe.lora.alpha:g}\n{linear}\n"
        f"sequence_len: {recipe.max_tokens}\nmicro_batch_size: {recipe.training.batch_size}\n"
        f"gradient_accumulation_steps: {recipe.training.gradient_accumulation}\n"
        f"num_epochs: {recipe.training.epochs:g}\nlearning_rate: {recipe.training.learning_rate}\n"
        f"optimizer: adamw_torch\nlr_scheduler: {recipe.training.schedule}\noutput_dir: {recipe.out}/model\n"
    )


def _llama_factory_snippet(recipe: Recipe) -> tuple[str, str]:
    modules = _modules(recipe.lora.target_modules, joined=True)
    return "yaml", (
        f"model_name_or_path: {recipe.model}\n"
        "template: default # name the template of your model here\n"
        f"stage: sft\ndo_train: true\nfinetuning_type: lora\nlora_rank: {recipe.lora.r}\n"
        f"lora_alpha: {recipe.lora.alpha:g}\nlora_target: {'all' if modules == 'all-linear' else modules}\n"
        f"dataset_dir: {recipe.out}\ndataset: {_NAME}\nmask_history: true # loss on the last response only\n"
        f"cutoff_len: {recipe.max_tokens}\nper_device_train_batch_size: {recipe.training.batch_size}\n"
        f"gradient_accumulation_steps: {recipe.training.gradient_accumulation}\n"
        f"num_train_epochs: {recipe.training.epochs:g}\nlearning_rate: {recipe.training.learning_rate}\n"
        f"lr_scheduler_type: {recipe.training.schedule}\noutput_dir: {recipe.out}/model\n"
    )


_Writer = Callable[[Iterable[Sample], Path], None]
_Snippet = Callable[[Recipe], tuple[str, str]]
FORMATS: dict[str, tuple[_Writer, _Snippet]] = {
    "datasets": (_write_dataset, _datasets_snippet),
    "trl": (_lines(prompt_completion), _trl_snippet),
    "axolotl": (_lines(messages), _axolotl_snippet),
    "llama-factory": (_write_sharegpt, _llama_factory_snippet),
}
_START = {
    "datasets": "Load them with:",
    "trl": "Train on them with:",
    "axolotl": "Train on them with `axolotl train {out}/axolotl.yaml`. That file holds:",
    "llama-factory": "Train on them with `llamafactory-cli train {out}/llama-factory.yaml`. That file holds:",
}
