"""A lab without hardware: emulated ARM64 boards, an x86-64 board, phones with the real adbd. Needs root."""
