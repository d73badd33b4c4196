"""Rows of two variants → a verdict: pairs, differences in how they were measured, regressions."""
