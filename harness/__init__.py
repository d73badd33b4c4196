"""Which variant of my binarized network is best on which device?"""

__version__ = "0.1.0"
