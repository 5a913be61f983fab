"""Corrupting a known share of clean samples for benchmarks, with labels."""

from clues.lab.corruption.corrupt import Corruption, corrupt, corrupt_file
from clues.lab.corruption.kinds import GROUPS, KINDS

__all__ = ["GROUPS", "KINDS", "Corruption", "corrupt", "corrupt_file"]
