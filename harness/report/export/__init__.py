"""Files for other programs: CSV, JSON Lines, Parquet, JUnit XML, Markdown."""
