"""`python -m clues`, which `accelerate launch` and `torchrun` need."""

from clues.cli import main

main()
