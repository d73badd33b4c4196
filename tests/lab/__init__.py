"""A lab without hardware: emulated ARM64 boards, an x86-64 board and phones with the real adbd.

It needs root.
"""
