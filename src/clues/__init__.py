"""CLUES: score private fine-tuning data by gradients, keep the good, train together."""

__version__ = "0.1.0"
