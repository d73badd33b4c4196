"""Files that people write → core values; every error names the file, the line and the key."""
