"""What `harness` prints on a terminal: tables, sentences, progress."""
