"""How a case is measured and read: argv, logs, facts, protocol, quality.

Pure but for the runner, a program of its own.
"""
