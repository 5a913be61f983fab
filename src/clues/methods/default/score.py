"""The default score, `auto`: the log-odds that a sample is good, from gradients and likelihoods.

Each kind of low quality shows in another feature: missing words in the loss, an answer to something else in the gain
from the prompt, a truncated response in the loss of its end, and all of them somewhat in the agreement of gradients.
The features' weights are learnt on public samples only: clean ones against corrupted copies (`corruptions.py`), one
corruption type at a time, by logistic regression with non-negative weights (`calibration.py`). Private samples are not
used for that, and their quality need not be known. The location and share of the client's good samples are then
estimated from its features and scores (`prior.py`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clues.errors import ScoringError
from clues.methods.default.calibration import fitted, standardised
from clues.methods.default.corruptions import TYPES
from clues.methods.default.features import likelihood_features
from clues.methods.default.prior import PublicOdds, log_odds_at_client
from clues.methods.default.rows import Group, Labels, Rows, rows_of
from clues.methods.interface import Job, Scores
from clues.models.trajectory import Trained
from clues.passes.agreement import Agreement, agreement
from clues.passes.directions import Target
from clues.passes.passes import Columns, Passes

# Names of the features, each in standard deviations of clean samples.
FEATURES = ("agreement", "loss", "trained loss", "peak", "end", "gain", "peak gain")


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """The log-odds of being good: at the client for its samples; for anchors, as if half of all samples were corrupted.

    Returns:
        Signals: the features, in standard deviations of the clean public samples of a sample's domain, higher being
        better: `agreement`, the cosine with the domain's validation gradient; minus `loss`, `peak` and `end`, `gain`
        and `peak gain` of the base model (`likelihood_features`); minus the `trained loss` along the trajectory.
        By domain: the gradient's cosine with it. Beside: `dot`, `cosine` and `paper` of the gradient method.
    """
    rows = rows_of(job.private, anchors=job.public.anchors, validation=job.public.validation)
    target = Target(samples=job.public.validation, groups=rows.groups, weights=dict.fromkeys(rows.groups, 1.0))
    gradients = agreement(trained, rows.tokens, target=target, settings=job.scoring, passes=passes)
    domains = nearest_domains(rows, gradients)
    public = [*job.public.anchors, *job.public.validation]
    likelihood = likelihood_features(rows.tokens, domains=domains, public=public, passes=passes)
    return combined(rows, gradients, likelihood=likelihood)


def combined(rows: Rows, gradients: Agreement[Group], *, likelihood: Columns) -> Scores:
    """What `score` returns, from the measurements of every row.

    Takes the columns out of `likelihood`: of a large client, they would only fill the memory that follows needs.
    """
    domains, scored = nearest_domains(rows, gradients), slice(rows.scored)
    by_domain = _by_domain(gradients)
    ends = torch.from_numpy(rows.tokens.ends)
    features = {
        "agreement": _agreement(rows, domains, gradients=gradients),
        "loss": -likelihood.pop("loss"),
        "trained loss": -gradients.loss,
        "peak": -likelihood.pop("peak"),
        # The end carries no information where we cut the response, or where there is no end token.
        "end": torch.where(ends, -likelihood.pop("end"), torch.nan),
        "gain": likelihood.pop("gain"),
        "peak gain": likelihood.pop("peak gain"),
    }
    clean = torch.from_numpy(rows.clean)
    stacked = torch.stack([features.pop(name) for name in FEATURES], dim=1)
    comparable = standardised(stacked, domains.codes, clean=clean)
    known = torch.tensor([name in rows.needed for name in domains.names])[torch.from_numpy(domains.codes).long()]
    values = {
        "dot": gradients.dot[scored, 0],
        "cosine": gradients.cosine[scored, 0],
        "paper": gradients.paper[scored],
    }
    return Scores(
        score=log_odds(comparable, good=clean & known, corruption=rows.corruption, private=rows.private)[scored],
        by_domain={domain: cosine[scored] for domain, cosine in by_domain.items()},
        signals=dict(zip(FEATURES, comparable[scored].unbind(1), strict=True)),
        parts={name: part[scored] for name, part in gradients.parts.items()},
        beside=values,
    )


def log_odds(features: Tensor, *, good: Tensor, corruption: np.ndarray, private: int) -> Tensor:
    """Of the first `private` samples, as those of one client; of all others, as public samples.

    Args:
        features: samples × features. good: samples, bool: clean ones to learn from. corruption: the index of a copy's
            type in `TYPES`; -1 elsewhere.
    """
    by_type = [rows for rows in (torch.from_numpy(corruption == place) for place in range(len(TYPES))) if rows.any()]
    if not by_type:
        raise ScoringError(
            "auto: the responses of anchors and validation set are too short to learn from corrupted copies of them; "
            "use another scoring.method, such as clues."
        )
    odds = fitted(features, good=good, by_type=by_type)
    public = PublicOdds(odds, odds(features[good]), [odds(features[rows]) for rows in by_type])
    return torch.cat([log_odds_at_client(features[:private], public), public.log_odds(features[private:])])


def nearest_domains(rows: Rows, gradients: Agreement[Group]) -> Labels:
    """The validation domain of every sample: its own, or where the validation set lacks that, the most similar one."""
    cosines = _by_domain(gradients)
    names, named = list(cosines), rows.domains
    nearest = []
    for code, domain in enumerate(named.names):
        of_domain = torch.from_numpy(named.codes == code).nonzero()[:, 0]
        best = domain if domain in cosines else max(names, key=lambda name: float(cosines[name][of_domain].mean()))
        nearest.append(names.index(best))
    return Labels(names, np.array(nearest, dtype=np.int32)[named.codes])


def _agreement(rows: Rows, domains: Labels, *, gradients: Agreement[Group]) -> Tensor:
    """The mean cosine with those halves of its domain's validation set that a sample is not in: samples."""
    cosines, values = _by_domain(gradients), torch.zeros(len(rows.tokens))
    for code, domain in enumerate(domains.names):
        of_domain = domains.codes == code
        values[of_domain] = cosines[domain][of_domain]
        for half in (0, 1):
            other = (domain, 1 - half)
            inside = torch.from_numpy(of_domain & (rows.half == half))  # of the validation set, or a copy of it
            if other in gradients.groups:
                values[inside] = gradients.cosine[inside, 1 + gradients.groups.index(other)]
    return values


def _by_domain(gradients: Agreement[Group]) -> dict[str, Tensor]:
    """The cosine with each domain's validation set, as the mean over its halves: samples."""
    halves: dict[str, list[Tensor]] = {}
    for column, (domain, _) in enumerate(gradients.groups, start=1):
        halves.setdefault(domain, []).append(gradients.cosine[:, column])
    return {domain: torch.stack(columns).mean(0) for domain, columns in halves.items()}
