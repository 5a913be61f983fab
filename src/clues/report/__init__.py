"""Pages that a browser shows: of a whole run for everybody, of one's own samples for their owner."""
