"""Atomic writes, stored results, progress, and several processes."""
