"""How memory, our own time per sample and files on the disk grow with the number of samples, and what a kill costs.

    python benchmarks/scale.py                              # 10,000 and 100,000 samples, a few minutes
    python benchmarks/scale.py --samples 10000 1000000      # half an hour and more
    python benchmarks/scale.py --method clues

`clues score` scores generated records with a random model of two layers, and `clues select` selects; each size has its
own process. Our own time is what is spent outside of passes (`Gradients.receive`, `token_losses`), training and checks.
All times are seconds of the processor, which other work on the machine changes less than those of a clock. The model is
far too small to be useful, so that our own time is a visible part of the total.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = [f"{a}{b}" for a in ("bone", "rate", "price", "bond", "trade") for b in "abcdefghijklmnopqrst"]
PUBLIC = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--method", default="auto")
    parser.add_argument("--batch-size", type=int, default=128, help="the default, 16, is for real models")
    parser.add_argument("--kill", type=int, default=100_000, help="samples of the run that is killed; 0: none")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.method, options.batch_size)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tiny_model(folder / "model")
        for name in ("validation", "anchors"):
            write_records(folder / f"{name}.jsonl", PUBLIC, name)
        print("| samples | peak memory, MB | ratio | of the model, MB | own ms per sample | checks | passes | files |")
        print("|---|---|---|---|---|---|---|---|")
        first: dict[str, Any] = {}
        for count in options.samples:
            figures = run(folder, count)
            first = first or figures
            memory, reference = (each["peak"] - each["model"] for each in (figures, first))
            print(
                f"| {count:,} | {figures['peak'] / 1e6:.0f} | {memory / reference:.2f} | {figures['model'] / 1e6:.1f} "
                f"| {figures['own'] / count * 1e3:.3f} | {figures['checks'] / count * 1e3:.3f} "
                f"| {figures['passes'] / count * 1e3:.3f} | {figures['files']} |",
                flush=True,
            )
        if options.kill:
            print(kill(folder, options.kill))


def tiny_model(folder: Path) -> None:
    """A random Llama of two layers whose tokenizer knows the words of the records."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<s>", "</s>", "<unk>", "user", "assistant", ":", "?", *WORDS]
    raw = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}"
        "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=128, bos_token_id=0, eos_token_id=1, **size, **heads)).save_pretrained(
        folder
    )


def write_records(file: Path, count: int, seed: str) -> None:
    rng = random.Random(seed)
    with file.open("w", encoding="utf-8") as stream:
        for number in range(count):
            prompt, response = (" ".join(rng.choices(WORDS, k=rng.randint(2, 5))) for _ in range(2))
            stream.write(json.dumps({"id": f"{seed}-{number}", "prompt": f"{prompt}?", "response": response}) + "\n")


def start(folder: Path, count: int) -> subprocess.Popen[str]:
    run_folder = folder / str(count)
    run_folder.mkdir(exist_ok=True)
    if not (run_folder / "samples.jsonl").is_file():
        write_records(run_folder / "samples.jsonl", count, str(count))
    command = [sys.executable, __file__, "--worker", str(run_folder), *sys.argv[1:]]
    # With matrices this small, threads would spend most of the time waiting for each other.
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=one_thread)


def run(folder: Path, count: int) -> dict[str, Any]:
    process = start(folder, count)
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the run of {count} samples failed")
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures


def kill(folder: Path, count: int) -> str:
    """Kill a run after three complete shards, resume it, and report how many samples it read and how many it passed.

    What the killed run had done of the shard under way is lost, and is not counted here.
    """
    out = folder / str(count) / "out"
    shutil.rmtree(out, ignore_errors=True)  # of the run that was measured
    whole = run(folder, count)
    shutil.rmtree(out)
    process = start(folder, count)
    while len(list(out.glob("store/passes/*.safetensors"))) < 3 and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    left = len(list(out.glob("store/passes/*.safetensors")))
    resumed = run(folder, count)
    read = whole["passed"] - resumed["passed"]
    return (
        f"\nA run of {count:,} samples, killed after {left} shards: resumed, it made {resumed['passed']:,} of "
        f"{whole['passed']:,} passes of a sample, and read {read:,} from the shards."
    )


def work(folder: Path, method: str, batch_size: int) -> None:
    """One run in this process; prints the measurements as JSON."""
    import clues.commands.score as commands
    import clues.models.likelihood as likelihood
    import clues.silo.silo as silo
    from clues import ScoreSettings, SelectionSettings, score, select
    from clues.models.base import load_base
    from clues.passes.gradients import Gradients
    from clues.settings import ModelSettings

    clock = Clock()
    clock.watch(Gradients, "receive", "passes", count=lambda _, batch, *__: len(batch.rows))
    clock.watch(likelihood, "token_losses", "passes", count=lambda _, ids, *__: len(ids))
    for module in list(sys.modules.values()):  # modules that imported it by name
        if getattr(module, "token_losses", None) is clock.originals["token_losses"]:
            module.token_losses = likelihood.token_losses
    clock.watch(silo, "fit", "training")
    clock.watch(commands, "check_samples", "checks")
    settings = ModelSettings(id=str(folder.parent / "model"), device="cpu")
    model = load_base(settings).model
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    public = {name: [str(folder.parent / f"{name}.jsonl")] for name in ("validation", "anchors")}
    asked = {"method": method, "keep_passes": True, "batch_size": batch_size}

    def score_and_select(samples: Path, out: Path) -> None:
        fast = {"training": {"steps": 4}, "scoring": asked}
        score(ScoreSettings(samples=str(samples), model=settings, **fast, **public), out)
        select(out, SelectionSettings())

    with tempfile.TemporaryDirectory() as scratch:  # imports on first use are not a cost per sample
        score_and_select(folder.parent / "anchors.jsonl", Path(scratch) / "out")
    clock.reset()
    started = time.process_time()
    score_and_select(folder / "samples.jsonl", folder / "out")
    seconds = time.process_time() - started
    files = sum(path.is_file() for path in (folder / "out").rglob("*"))
    own = seconds - sum(clock.seconds.values())
    figures = {"peak": peak(), "model": size, "own": own, "files": files, "passed": clock.passed}
    print(json.dumps({**figures, **clock.seconds}))


class Clock:
    """Seconds spent in functions; of nested ones, only the outermost counts."""

    def __init__(self) -> None:
        self.originals: dict[str, Any] = {}
        self._open = False
        self.reset()

    def reset(self) -> None:
        self.seconds, self.passed = {"passes": 0.0, "training": 0.0, "checks": 0.0}, 0

    def watch(self, home: Any, name: str, what: str, count: Any = lambda *_: 0) -> None:
        original = getattr(home, name)
        self.originals[name] = original

        def timed(*arguments: Any, **options: Any) -> Any:
            if self._open:
                return original(*arguments, **options)
            self._open, started = True, time.process_time()
            try:
                return original(*arguments, **options)
            finally:
                self._open = False
                self.seconds[what] += time.process_time() - started
                self.passed += count(*arguments)

        setattr(home, name, timed)


def peak() -> int:
    """The peak resident memory in bytes, mapped files included."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


if __name__ == "__main__":
    main()
