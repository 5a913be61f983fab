"""Fine-tuning an adapter with transformers' Trainer, and recording the trajectory it takes."""
