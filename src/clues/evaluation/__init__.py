"""Evaluating models on clean held-out data."""
