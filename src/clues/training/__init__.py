"""Fine-tuning an adapter with transformers' Trainer, and recording its trajectory."""
