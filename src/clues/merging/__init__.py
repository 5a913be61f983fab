"""Several LoRA adapters made into one."""
