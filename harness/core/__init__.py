"""Frozen values, errors, ids and units: no I/O, and nothing beyond the standard library but annotated-types' markers."""
