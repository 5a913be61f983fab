"""Experiments: corrupted data, partitions, comparisons, the demo."""
