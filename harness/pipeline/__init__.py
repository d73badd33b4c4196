"""Training and measuring while both run: the room that joins sweep and fleet."""
