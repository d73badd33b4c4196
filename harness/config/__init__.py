"""Readers of the files that people write. Every error names the file, the line and the key."""
