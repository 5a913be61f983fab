"""Reviewing samples by hand: the page of `clues review`, and the files in which other tools carry marks."""
