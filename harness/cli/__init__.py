"""Thin commands: read the request, call the pipeline, show the rows."""
