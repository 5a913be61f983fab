"""Passes through the model: per-sample gradients, directions, losses."""
