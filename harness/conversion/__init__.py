"""Conversion of a trained model to an artifact: its bytes, its anatomy and its accuracy."""
