"""Files written whole, progress, several processes."""
