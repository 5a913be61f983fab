"""Reading records: CSV, JSON, Parquet, folders, glob patterns, data sets of the Hub."""
