"""HTML pages: of a run, for all participants; of a client's samples, for their owner only."""
