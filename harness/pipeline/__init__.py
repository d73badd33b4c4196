"""plan (pure) → train → convert → measure, and what the numbers say."""
