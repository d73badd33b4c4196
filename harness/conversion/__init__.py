"""A trained model → artifact: its bytes, its anatomy, and its own accuracy."""
