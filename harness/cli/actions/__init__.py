"""Implementations of the commands, imported only when they run."""
