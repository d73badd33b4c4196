"""The command line: `commands` says what people type, `actions` what each command does."""
