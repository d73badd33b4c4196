"""Artifacts → measurements: one lane for each device, and what happens on it."""
