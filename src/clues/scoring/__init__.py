"""Scores of samples: one file per method, registered with its paper."""
