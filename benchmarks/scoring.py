"""What exact scoring costs, as ratios to a forward pass measured in the same run.

    python benchmarks/scoring.py                                # the embedded 135M model
    python benchmarks/scoring.py --model DIR --samples 1000     # any other
    python benchmarks/scoring.py --model tiny                   # a random model: whether everything runs
    python benchmarks/scoring.py --grow samples=16,32,64 tokens=48,96,192 rank=4,16,64 directions=1,6,24

Compared on the same model, adapter, samples, dtype and threads, the validation gradient included: a forward pass
alone (the floor); ours; the published way (one backward a sample with all logits, every gradient written to disk,
products in a second step; written here from the formula of arXiv 2507.03004); and bergson, kronfluence and
dattri-llm where they are installed, without projection or preconditioning. Each has a process of its own and runs
once before anything is timed, where its products are held against ours; then they alternate. Last, training an epoch
with and without in-run scoring. `--grow` shows instead how ours and the published way grow.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import torch
from contenders import CONTENDERS, FLOOR, OURS, PUBLISHED, version
from in_run import in_run
from setting import Setting, tiny_model
from tables import comparison, growth
from workers import measure

SEVERAL = 6
AXES = ("samples", "tokens", "rank", "directions", "batch_tokens")


def compare(setting: Setting, names: list[str], repeats: int, folder: Path) -> None:
    asked = [(name, setting) for name in names] + [(OURS, replace(setting, directions=SEVERAL))]
    records = measure(asked, repeats, folder)
    by_name = dict(zip(names, records, strict=False))
    labels = [f"{name} ({version(name)})" if version(name) else name for name in names]
    comparison([*labels, f"{OURS}, {SEVERAL} directions"], records, by_name[FLOOR], by_name[OURS])


def grow(setting: Setting, axis: str, values: list[int], repeats: int, folder: Path) -> None:
    """All values at once, so that they too alternate: three processes for each."""
    ways = [FLOOR, OURS, PUBLISHED]
    asked = [(way, replace(setting, **{axis: value})) for value in values for way in ways]
    records = measure(asked, repeats, folder)
    growth(axis, values, ways, [records[n : n + len(ways)] for n in range(0, len(records), len(ways))])


def axis_and_values(text: str) -> tuple[str, list[int]]:
    axis, _, values = text.partition("=")
    if axis not in AXES or not values:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form AXIS=N,N,…; an axis is one of {', '.join(AXES)}")
    return axis, [int(value) for value in values.split(",")]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="'tiny': a random model of two layers")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--validation", type=int, default=2, help="64 for 1,000 samples is 2 for 32")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--directions", type=int, default=1, help="other libraries score against the first alone")
    parser.add_argument("--batch-tokens", type=int, default=Setting.batch_tokens)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--epochs", type=float, default=2.0, help="of training; 0 leaves training out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", default=";".join(CONTENDERS), help=f"besides {FLOOR} and {OURS}, separated by ';'")
    parser.add_argument("--grow", type=axis_and_values, nargs="+", default=[], metavar="AXIS=N,N,…")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = str(tiny_model(folder / "tiny")) if given.model == "tiny" else given.model
        setting = Setting(model, **{f.name: getattr(given, f.name) for f in fields(Setting) if f.name != "model"})
        torch.set_num_threads(setting.threads)
        print(
            f"{given.model}; {setting.samples} samples and {setting.validation} of validation of {setting.tokens} "
            f"tokens, a third response, batches of {setting.batch_size}; LoRA r = {setting.rank} on "
            f"{', '.join(setting.lora.target_modules)}; directions: {setting.directions}; float32; {setting.threads} "
            f"threads of {platform.machine()}; torch {torch.__version__}; {given.repeats} alternations.\n"
        )
        for number, (axis, values) in enumerate(given.grow):
            grow(setting, axis, values, given.repeats, folder / f"grow-{number}")
            print(flush=True)
        if given.grow:
            return
        missing = [name for name in CONTENDERS if version(name) is None]
        if missing:
            print(f"Not installed, so not compared: {', '.join(missing)}.\n")
        wanted = [name for name in CONTENDERS if name in {FLOOR, OURS, *given.ways.split(";")}]
        compare(setting, [name for name in wanted if name not in missing], given.repeats, folder / "compare")
        print(flush=True)
        if given.epochs:
            in_run(setting, given.epochs, given.repeats)


if __name__ == "__main__":
    main()
