"""Base models, adapters and the trajectory an adapter took."""
