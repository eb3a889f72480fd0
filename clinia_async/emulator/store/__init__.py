"""The state of the emulator: records, tasks, definitions and partitions, in SQLite.

May import emulator.bodies. Nothing here knows about HTTP.
"""
