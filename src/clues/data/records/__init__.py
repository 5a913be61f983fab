"""From files to records: CSV, JSON, Parquet, folders, patterns, data sets of the Hub."""
