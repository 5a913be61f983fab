"""Checks that need no model: near-copies, and what is visible in the text of a single sample."""
