"""What exact scoring costs, as ratios to a forward pass measured in the same run.

    python benchmarks/scoring.py                                # the embedded 135M model
    python benchmarks/scoring.py --model DIR --samples 1000     # any other

Compared on the same samples, adapter, dtype and threads: a forward pass alone (the floor); the published way (one
backward a sample with all logits, every gradient written to disk, products in a second step; written here from the
formula of arXiv 2507.03004); ours with one and with six directions; and training an epoch with and without in-run
scoring. Agreement of the products is checked before anything is timed; the ways then alternate.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from clues.config import LoraSettings, ModelSettings, ScoringSettings, TrainingSettings
from clues.data.batches import batches, pad
from clues.data.prompts import Tokens
from clues.models.adapters import adapter_state, attached, lora_modules
from clues.models.base import load_base
from clues.models.likelihood import sample_losses
from clues.scoring.clues import weighted_gradients
from clues.scoring.gradients import batch_products
from clues.training.fit import fit
from clues.training.in_run import InRunScorer


def random_tokens(count: int, length: int, vocabulary: int, seed: int) -> list[Tokens]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(5, vocabulary, (count, length), generator=generator).tolist()
    return [Tokens(str(n), "d", row, length * 2 // 3, False) for n, row in enumerate(rows)]


def forward_only(model: Any, samples: list[Tokens], settings: ScoringSettings) -> None:
    with torch.no_grad():
        for batch in batches(samples, settings.batch_size, settings.batch_tokens):
            sample_losses(model, batch.input_ids, batch.attention_mask, batch.labels)


def ours(model: Any, samples: list[Tokens], directions: dict[str, torch.Tensor], settings: ScoringSettings) -> Any:
    modules = lora_modules(model)
    products = torch.zeros(len(samples), len(next(iter(directions.values()))))
    for batch in batches(samples, settings.batch_size, settings.batch_tokens):
        products[batch.rows] = batch_products(model, modules, batch, directions).dot
    return products


def published(model: Any, samples: list[Tokens], direction: dict[str, torch.Tensor], folder: Path) -> torch.Tensor:
    """One sample at a time; every gradient on disk before the first product."""
    parameters = {n: p for n, p in model.named_parameters() if "lora_" in n}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    for number, sample in enumerate(samples):
        batch = pad([sample])
        model.zero_grad()
        model(input_ids=batch.input_ids, labels=batch.labels).loss.backward()
        torch.save({n: p.grad for n, p in parameters.items()}, folder / f"{number}.pt")
    model.requires_grad_(False)
    products = []
    for number in range(len(samples)):
        gradient = torch.load(folder / f"{number}.pt")
        products.append(sum((g * direction[n.replace(".default", "")][0]).sum() for n, g in gradient.items()))
    return torch.stack(products)


def alternate(ways: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def table(seconds: dict[str, list[float]], floor: str, notes: dict[str, str]) -> None:
    print(f"| way | ratio to {floor} (median; least–most) | |\n|---|---|---|")
    for name, values in seconds.items():
        ratios = [one / base for one, base in zip(values, seconds[floor], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        print(f"| {name} | {spread} | {notes.get(name, '')} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--validation", type=int, default=2, help="64 for 1,000 samples is 2 for 32")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    base = load_base(ModelSettings(id=given.model, device="cpu"))
    lora, settings = LoraSettings(r=given.rank), ScoringSettings(walk="in-run", refreshes=4)
    vocabulary = base.model.config.vocab_size
    samples = random_tokens(given.samples, given.tokens, vocabulary, 1)
    validation = random_tokens(given.validation, given.tokens, vocabulary, 2)
    print(
        f"{given.model}; {given.samples} samples of {given.tokens} tokens, a third response; LoRA r = {given.rank} "
        f"on {', '.join(lora.target_modules)}; float32; {torch.get_num_threads()} threads of {platform.machine()}; "
        f"torch {torch.__version__}; {given.repeats} alternations.\n"
    )
    generator = torch.Generator().manual_seed(3)
    with attached(base, lora) as model, tempfile.TemporaryDirectory() as folder:
        state = {n: torch.randn(t.shape, generator=generator) * 0.02 for n, t in adapter_state(model).items()}
    with attached(base, lora, state) as model, tempfile.TemporaryDirectory() as folder:
        model.eval().requires_grad_(False)
        one = weighted_gradients(
            model, lora_modules(model), validation, torch.full((len(validation), 1), 1 / len(validation)), settings
        )
        six = {name: v.repeat(6, *[1] * (v.dim() - 1)) for name, v in one.items()}
        found, known = ours(model, samples, one, settings)[:, 0], published(model, samples, one, Path(folder))
        difference = float((found - known).abs().max() / known.abs().max())
        print(f"Largest difference of the products, relative: {difference:.1e}\n")
        on_disk = sum(path.stat().st_size for path in Path(folder).iterdir())
        ways = {
            "forward only": lambda: forward_only(model, samples, settings),
            "ours, one direction": lambda: ours(model, samples, one, settings),
            "ours, six directions": lambda: ours(model, samples, six, settings),
            "published way": lambda: published(model, samples, one, Path(folder)),
        }
        notes = {"published way": f"{on_disk / 1e6:.0f} MB on disk", "ours, one direction": "nothing on disk"}
        table(alternate(ways, given.repeats), "forward only", notes)
    training = TrainingSettings(epochs=given.epochs, checkpoints=1)
    refreshing: list[float] = []

    def watch(trainer: Any) -> InRunScorer:
        scorer = InRunScorer(trainer, validation, validation[:1], settings)
        refresh = scorer._refresh

        def timed(steps: float) -> None:
            started = time.perf_counter()
            refresh(steps)
            refreshing.append(time.perf_counter() - started)

        scorer._refresh = timed  # type: ignore[method-assign]
        return scorer

    seconds = alternate(
        {
            "training": lambda: fit(base, lora, samples, training, 1),
            "training with in-run scoring": lambda: fit(base, lora, samples, training, 1, watch=watch),
        },
        given.repeats,
    )
    share = sum(refreshing) / sum(seconds["training"])
    print()
    table(seconds, "training", {"training with in-run scoring": f"of it the refreshes {share:.3f}"})


if __name__ == "__main__":
    main()
