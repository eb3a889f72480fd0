"""One module a command: its options and help. Loaded for `--help`, so it imports nothing heavy.

May import cli and click. The work of a command belongs to cli.runs.
"""
