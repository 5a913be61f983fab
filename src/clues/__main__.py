"""`python -m clues`, for `accelerate launch` and `torchrun`."""

from clues.cli import main

main()
