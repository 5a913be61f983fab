"""Thresholds from anchor scores, and metrics of selections with known labels."""
