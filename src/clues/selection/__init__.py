"""Thresholds from anchor scores, and how good a selection is where the truth is known."""
