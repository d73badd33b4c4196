"""Every command with its options and its help; `actions` implements them."""
