"""Tables of methods against thresholds, collaborations and seeds, out of finished runs."""
