"""Training: fit one trial, and run many on Ray."""
