"""Rows of the database, read and written: one class a table or a few that belong together."""
