"""Base models, adapters and training trajectories."""
