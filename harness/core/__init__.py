"""Frozen values, errors, ids and units.

They do no I/O, and need only the standard library and the markers of annotated-types.
"""
