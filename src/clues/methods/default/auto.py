"""The default score: the log-odds that a sample is good, from gradient and likelihood signals together.

Each damage shows in another signal: words that are missing in the loss, an answer to something else in what the
prompt gains, a response that breaks off in its end, and all of them somewhat in the agreement of gradients. How
much each tells is learnt on public samples alone: clean ones against damaged copies of them (`damage.py`), way by
way, by logistic regression in which no signal may count against its meaning (`calibration.py`). The client's private
samples take no part in that, and their quality need not be known. Where its own good samples lie, and how many there
are, is then found from their scores (`mixture.py`).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clues.data.prompts import Tokens
from clues.errors import ScoringError
from clues.methods import clues
from clues.methods.clues import Columns, Remember
from clues.methods.default.calibration import fitted, standardised
from clues.methods.default.corruptions import WAYS, damaged
from clues.methods.default.features import likelihood_signals, with_other_prompts
from clues.methods.default.prior import Public, log_odds_at_client
from clues.models.base import Base
from clues.models.trajectory import Checkpoint
from clues.settings import ScoringSettings

# Names of the signals, each in standard deviations of clean samples.
SIGNALS = ("agreement", "loss", "trained loss", "peak", "end", "gain", "peak gain")
COPIES = 2  # damaged copies of every clean sample
_HALF = " / half "


@dataclass(frozen=True)
class Rows:
    """What is measured at a client: `samples` of its own, anchors up to `scored`, validation samples, damaged copies.

    `way`: of each row the way it was damaged, "" where it was not. `needed`: the domains that tell what is good here.
    """

    every: list[Tokens]
    samples: int
    scored: int
    way: np.ndarray
    needed: set[str]

    @property
    def clean(self) -> Tensor:
        """rows, bool: public, and as they came."""
        return torch.from_numpy((self.way == "") & (np.arange(len(self.way)) >= self.samples))


def score(
    base: Base,
    checkpoints: Sequence[Checkpoint],
    lora_config: Any,
    samples: Sequence[Tokens],
    anchors: Sequence[Tokens],
    validation: Sequence[Tokens],
    settings: ScoringSettings,
    remember: Remember,
) -> Columns:
    """Score samples and then anchors.

    Returns:
        `score`, the log-odds of being good: of samples at the client, of anchors where good and damaged ones are
        equally frequent. And the signals it is made of, in standard deviations of the clean public samples of a
        sample's domain, more being better: `agreement`, the cosine with the domain's validation gradient; minus
        `loss`, `peak` and `end`, `gain` and `peak gain` of the base model (`likelihood_signals`); minus the
        `trained loss` along the trajectory. Beside them the gradient method's cosine with each domain, `dot`,
        `cosine` and `paper`.
    """
    halves = halved(validation)
    rows = rows_of(samples, anchors, halves)

    def kept(name: str, compute: Callable[[], Columns]) -> Columns:
        return remember(f"auto/{name}", compute)

    plain = settings.model_copy(update={"similarity": "cosine", "contrast": 0, "domain_weights": {}})
    found = clues.score(base, checkpoints, lora_config, rows.every, halves, plain, remember=kept)
    own = in_their_domains(rows, found)
    moved = with_other_prompts(own, [*anchors, *validation])
    return combined(rows, found, likelihood_signals(base, own, moved, settings, kept))


def rows_of(samples: Sequence[Tokens], anchors: Sequence[Tokens], halves: Sequence[Tokens]) -> Rows:
    """The rows to measure, with `COPIES` damaged copies of each public sample that tells what is good here."""
    needed = _needed(samples, anchors, halves)
    public = [*anchors, *[half for half in halves if _domain(half) in needed]]
    copies = damaged([tokens for tokens in public if _domain(tokens) in needed], COPIES)
    way = [""] * (len(samples) + len(public)) + [name for name, made in copies.items() for _ in made]
    every = [*samples, *public, *itertools.chain(*copies.values())]
    return Rows(every, len(samples), len(samples) + len(anchors), np.array(way), needed)


def combined(rows: Rows, found: Columns, likelihood: Columns) -> Columns:
    """What `score` returns, from what was measured of every row.

    Args:
        found: of the gradient method with the halves as domains. likelihood: `likelihood_signals`.
    """
    domains, scored = _domains(rows.every, found), rows.scored
    signals = {
        "agreement": _agreement(rows.every, domains, found),
        "loss": -likelihood["loss"],
        "trained loss": -found["loss"],
        "peak": -likelihood["peak"],
        # Where our own cut ended it, or nothing could, the end of a response tells nothing.
        "end": torch.where(torch.tensor([t.ends for t in rows.every]), -likelihood["end"], torch.nan),
        "gain": likelihood["gain"],
        "peak gain": likelihood["peak gain"],
    }
    good = rows.clean & torch.tensor([domain in rows.needed for domain in domains])
    comparable = standardised(torch.stack([signals[name] for name in SIGNALS], dim=1), domains, rows.clean)
    return {
        "score": log_odds(comparable, good, rows.way, rows.samples)[:scored],
        **{domain: values[:scored] for domain, values in _by_domain(found).items()},
        **dict(zip(SIGNALS, comparable[:scored].unbind(1), strict=True)),
        **{name: values[:scored] for name, values in found.items() if name.startswith(("layer ", "module "))},
        **{name: found[name][:scored] for name in ("dot", "cosine", "paper") if name in found},
    }


def log_odds(signals: Tensor, good: Tensor, way: np.ndarray, split: int) -> Tensor:
    """Of the samples, the first `split` rows, at their client; of the others as the public ones they are.

    Args:
        signals: samples × signals. good: samples, bool: clean ones to learn from. way: of each damaged copy its way,
            "" elsewhere.
    """
    ways = [rows for rows in (torch.from_numpy(way == name) for name in WAYS) if rows.any()]
    if not ways:
        raise ScoringError(
            "auto: the responses of anchors and validation set are too short to learn from damaged copies of them; "
            "use another scoring.method, such as clues."
        )
    odds = fitted(signals, good, ways)
    public = Public(odds, odds(signals[good]), [odds(signals[rows]) for rows in ways])
    return torch.cat([log_odds_at_client(signals[:split], public), public.log_odds(signals[split:])])


def halved(validation: Sequence[Tokens]) -> list[Tokens]:
    """Each domain's validation samples, as two domains.

    A validation sample is compared with the half it is not in, as it would agree with itself.
    """
    seen: dict[str, int] = defaultdict(int)
    halves = []
    for tokens in validation:
        halves.append(replace(tokens, domain=f"{tokens.domain}{_HALF}{seen[tokens.domain] % 2 + 1}"))
        seen[tokens.domain] += 1
    return halves


def _domain(tokens: Tokens) -> str:
    return tokens.domain.split(_HALF)[0]


def _needed(samples: Sequence[Tokens], anchors: Sequence[Tokens], halves: Sequence[Tokens]) -> set[str]:
    """The domains whose public samples tell what is good here: the samples' own, or all where one is not known.

    Anchors of a domain that the validation set does not know (their file's name, mostly) always do.
    """
    own, known = {tokens.domain for tokens in samples}, {_domain(half) for half in halves}
    return (own if own <= known else known) | ({tokens.domain for tokens in anchors} - known)


def _agreement(every: Sequence[Tokens], domains: Sequence[str], found: Columns) -> Tensor:
    """The mean cosine with the halves of the own domain's validation set that a sample is not in: samples."""
    whole = _by_domain(found)
    values = torch.stack([whole[domain][row] for row, domain in enumerate(domains)])
    for row, tokens in enumerate(every):
        if _HALF in tokens.domain:  # of the validation set, or a copy of it
            apart = [name for name in found if name.startswith(domains[row] + _HALF) and name != tokens.domain]
            values[row] = found[apart[0]][row] if apart else values[row]
    return values


def in_their_domains(rows: Rows, found: Columns) -> list[Tokens]:
    """Every row, of the validation domain it belongs to."""
    domains = _domains(rows.every, found)
    return [replace(tokens, domain=domain) for tokens, domain in zip(rows.every, domains, strict=True)]


def _domains(every: Sequence[Tokens], found: Columns) -> list[str]:
    """The validation domain of every sample: its own where that is one, else the one its file agrees with most."""
    agreement = _by_domain(found)
    chosen: dict[str, str] = {}
    for domain in dict.fromkeys(_domain(tokens) for tokens in every):
        rows = [row for row, tokens in enumerate(every) if _domain(tokens) == domain]
        known = domain in agreement
        chosen[domain] = domain if known else max(agreement, key=lambda name: float(agreement[name][rows].mean()))
    return [chosen[_domain(tokens)] for tokens in every]


def _by_domain(found: Columns) -> Columns:
    """The cosine with each domain's validation set: the mean over its halves."""
    halves = defaultdict(list)
    for name in found:
        if _HALF in name:
            halves[name.split(_HALF)[0]].append(found[name])
    return {domain: torch.stack(columns).mean(0) for domain, columns in halves.items()}
