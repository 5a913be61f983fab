"""For experiments: corrupted data, partitions, comparisons, the demo."""
