"""What people type: every command, its options and its help. What a command does stands in `actions`."""
