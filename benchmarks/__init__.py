"""Speed, each beside its yardstick in one run; run them with nothing else running."""
