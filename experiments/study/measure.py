"""Measure once what every variant of a gradient score is made of: inner products of the samples' gradients.

    clues partition DATA … --validation 256 --anchors 50 --seed 1 --out runs/study-NAME-1-data
    python experiments/study/measure.py runs/study-NAME-1-data runs/study/NAME-1

Of each client of that data the trajectory is trained, and CLIENT.pt written: a `Measured`. A client that has one is
left alone. `variants.py` computes scores from it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from measured import MAPS, Measured, Point, with_halves
from torch import Tensor

from clues.data.batches import batches
from clues.data.prompts import tokenize
from clues.data.samples import read_many
from clues.data.tokens import Tokens
from clues.io.files import replace_whole
from clues.io.progress import say
from clues.io.store import Store
from clues.methods.default.features import likelihood_features
from clues.methods.default.rows import rows_of
from clues.methods.default.score import nearest_domains
from clues.models.adapters import Lora, attached, lora_modules
from clues.models.base import Base, load_base
from clues.models.trajectory import Checkpoint, load_trajectory
from clues.passes.gradients import Gradients
from clues.passes.passes import Passes
from clues.passes.preconditioners import preconditioner
from clues.selection.metrics import read_labels
from clues.settings import DataSettings, LoraSettings, ModelSettings, ScoringSettings, TrainingSettings
from clues.training.fit import Training, fit

TRAINING = TrainingSettings(steps=15, checkpoints=3)
LIMITS = ScoringSettings().model_dump(include={"batch_size", "batch_tokens"})
MAX_TOKENS = 160
# Of so many public samples of a domain damaged copies are made, and these are measured at every checkpoint; the others
# at the last one, as they are.
ANCHORS, VALIDATION = 10, 32


def main(data: Path, out: Path) -> None:
    base = load_base(ModelSettings())
    anchors, validation = (read(base, data / f"{name}.jsonl") for name in ("anchors", "validation"))
    learnt, first = split(validation, VALIDATION), split(anchors, ANCHORS)
    others = learnt[1], first[1]
    for labels in sorted(data.glob("*.labels.jsonl")):
        client = labels.name.removesuffix(".labels.jsonl")
        file, trajectory = out / f"{client}.pt", out / "trajectories" / client
        if file.is_file():
            continue
        say(f"{client} goes to {file}")
        samples = read(base, data / f"{client}.jsonl")
        training = Training(lora=LoraSettings(), settings=TRAINING, seed=1)
        fit(base, samples, training=training, trajectory=trajectory)
        trained = load_trajectory(trajectory, base)
        rows = rows_of(samples, anchors=first[0], validation=learnt[0])
        by_id = read_labels(str(labels), [tokens.id for tokens in samples])
        kinds = [by_id[tokens.id] for tokens in samples]
        further = [[tokens for tokens in part if tokens.domain in rows.needed] for part in others]
        found = Measured(rows, further[0], further[1], kinds, [], {})
        for checkpoint in trained.checkpoints:
            count = len(found.every if checkpoint is trained.checkpoints[-1] else rows.tokens)
            found.points.append(point(base, checkpoint, trained.lora, every=found.every[:count], against=found.against))
        found.likelihood.update(likelihood(base, found, [*first[0], *learnt[0]]))
        replace_whole(file, lambda part: torch.save(found, part))  # noqa: B023


def read(base: Base, path: Path) -> list[Tokens]:
    return tokenize(read_many([str(path)]), base, DataSettings(max_tokens=MAX_TOKENS))


def split(tokens: Sequence[Tokens], count: int) -> tuple[list[Tokens], list[Tokens]]:
    """The first `count` of every domain, and the others."""
    parts: tuple[list[Tokens], list[Tokens]] = ([], [])
    seen: Counter[str] = Counter()
    for each in tokens:
        parts[seen[each.domain] >= count].append(each)
        seen[each.domain] += 1
    return parts


def point(base: Base, checkpoint: Checkpoint, lora: Lora, *, every: Sequence[Tokens], against: Sequence[int]) -> Point:
    columns = [row for row in against if row < len(every)]
    products = {name: torch.zeros(len(every), len(columns)) for name in MAPS}
    squares = {name: torch.zeros(len(every)) for name in MAPS}
    tensors: dict[str, tuple[Tensor, Tensor]] = {}
    gradients, losses = all_gradients(base, checkpoint, lora, every)
    maps = {name: preconditioner(name, checkpoint, device=base.device) for name in ("none", "adam-frozen", "adam")}
    for tensor, plain in gradients.items():
        mapped = {name: (map_(tensor, plain) if map_ else plain).flatten(1) for name, map_ in maps.items()}
        for name, (own, other) in MAPS.items():
            part, square = mapped[own] @ mapped[other][columns].T, mapped[own].square().sum(1)
            products[name] += part
            squares[name] += square
            if name == "none":
                tensors[tensor] = part, square
    return Point(checkpoint.learning_rate, products, squares, tensors, losses)


def all_gradients(
    base: Base, checkpoint: Checkpoint, lora: Lora, every: Sequence[Tokens]
) -> tuple[dict[str, Tensor], Tensor]:
    """By tensor of the adapter, samples × parameter shape, all in memory at once; and the losses: samples."""
    gradients: dict[str, Tensor] = {}
    losses = torch.zeros(len(every))
    with attached(base, lora, checkpoint.state) as model:
        model.eval().requires_grad_(False)
        of_samples = Gradients(model, lora_modules(model))
        for batch in batches(every, **LIMITS, what="gradients"):

            def receive(name: str, gradient: Tensor, rows: Sequence[int] = batch.rows) -> None:
                gradients.setdefault(name, torch.zeros(len(every), *gradient.shape[1:]))[rows] = gradient.cpu()

            losses[batch.rows] = of_samples.receive(batch.to(base.device), receive).cpu()
    return gradients, losses


def likelihood(base: Base, found: Measured, public: Sequence[Tokens]) -> dict[str, Tensor]:
    domains = nearest_domains(found.rows, with_halves(found, found.points[-1]))
    passes = Passes(base=base, store=Store.temporary(), **LIMITS)
    return likelihood_features(found.rows.tokens, domains=domains, public=public, passes=passes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
