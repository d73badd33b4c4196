"""Thin commands: read the request, do it through the rooms below, show the rows."""
