"""Rows → what people read: tables, sentences, files."""
