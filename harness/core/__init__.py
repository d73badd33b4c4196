"""Frozen values, errors, ids and units.

No I/O, and nothing beyond the standard library but annotated-types' markers.
"""
