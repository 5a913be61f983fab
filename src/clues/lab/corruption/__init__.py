"""Corrupting a known share of clean samples for benchmarks, with labels."""

from clues.lab.corruption.corrupt import Corruption, corrupt, corrupt_file
from clues.lab.corruption.kinds import KINDS, NATURAL

__all__ = ["KINDS", "NATURAL", "Corruption", "corrupt", "corrupt_file"]
