"""The workspace's files: artifacts, checkpoints and tools."""
