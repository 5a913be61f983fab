"""An owner's data and a run's metrics, made without a model."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import torch

from clues.data.sample import Sample, Unusable
from clues.data.samples import Private, PublicSamples
from clues.methods.default.columns import FEATURES
from clues.report.owner_page import OwnerData
from clues.selection.threshold import Threshold
from clues.silo.checked import CHECKED, DUPLICATE_OF, PUBLIC_COPY
from clues.silo.selection import Selection
from clues.silo.tables import ScoreTable, write_table

EVIL = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"

METRICS = {
    "clients": {"a": {"samples": 3, "selection": {"kept": 2, "dropped": 1}}},
    "threshold": {"rule": "ratio", "value": None},
    "variants": {"paper ratio": {"a": {"kept": 1}}},
    "evaluation": {},
    "comparisons": [],
}


def sample(identity: str, prompt: str, response: str, domain: str = "x") -> Sample:
    return Sample(identity, [{"role": "user", "content": prompt}], response, domain, {}, identity)


def owner_data(folder: Path, count: int = 60) -> OwnerData:
    """Samples whose scores fall from 1 to −1; every fifth has a near-copy, and sample 1 tries to run a script."""
    samples = [
        sample(f"s{n}", f"what is a bone {n}", EVIL if n == 1 else f"a bone is {n} of many", "xy"[n % 2])
        for n in range(count)
    ]
    score = torch.linspace(1, -1, count, dtype=torch.float64)
    copies = [f"s{n - 1}" if n % 5 == 1 else None for n in range(count)]
    texts = {
        CHECKED: pyarrow.array([["duplicate"] if copy else [] for copy in copies], pyarrow.list_(pyarrow.string())),
        DUPLICATE_OF: pyarrow.array(copies, pyarrow.string()),
        PUBLIC_COPY: pyarrow.array([None] * count, pyarrow.string()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    features = {name: score * weight for weight, name in enumerate(FEATURES, start=1)} | {"loss": 2 - score}
    write_table(folder / "scores.parquet", (s.id for s in samples), {"score": score, **features}, texts=texts)
    anchors = {name: torch.tensor([0.0, 0.5]) for name in ("score", *features)}
    write_table(folder / "anchors.parquet", iter("ab"), anchors)
    clean = [sample("clean", "what is a bone", "a bone is a hard organ")]
    selection = Selection(ScoreTable(folder / "scores.parquet"), Threshold("posterior", 0.0), "me")
    private = Private(samples, [Unusable("own.jsonl, line 7", None, EVIL, {})])
    public, placed = PublicSamples(clean, clean), ScoreTable(folder / "anchors.parquet")
    return OwnerData(name=EVIL, private=private, public=public, selection=selection, anchors=placed)
