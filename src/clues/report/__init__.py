"""HTML pages: a run, for all participants; a client's own samples, for their owner only."""
