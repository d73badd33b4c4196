"""Output of `harness` on a terminal: tables, sentences, progress."""
