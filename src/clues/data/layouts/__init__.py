"""From records to conversations: the layouts people use, their turns, ids and domains."""
