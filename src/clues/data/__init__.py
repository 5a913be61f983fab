"""Samples, prompts and masks, batches, corruption."""
