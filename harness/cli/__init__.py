"""The command line: `commands` defines commands and options, `actions` implements them."""
