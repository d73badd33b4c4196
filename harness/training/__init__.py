"""Fit one trial; run many on Ray."""
