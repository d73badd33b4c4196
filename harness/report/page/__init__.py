"""The page of `harness report`: everything that was measured, in one HTML file."""
