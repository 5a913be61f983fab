"""Records, samples, prompts, tokens and batches."""
