"""A benchmark harness that shows which variant of a binarized network is best on which device."""

__version__ = "0.1.0"
