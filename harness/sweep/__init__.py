"""Sweeps: the trials of a sweep file, the plan of those to train, and their training."""
