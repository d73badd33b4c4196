"""Exports and imports: rows and artifacts in one archive that another workspace merges."""
