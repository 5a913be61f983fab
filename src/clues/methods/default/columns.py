"""What files of scores hold of the default score: its features and their range. Reading them needs no model."""

from __future__ import annotations

FEATURES = ("agreement", "likeness", "ending", "relevance", "typicality")  # what each means is in `features.py`
LOWEST, HIGHEST = -4.0, 1.5  # no feature counts further, in standard deviations of clean samples
