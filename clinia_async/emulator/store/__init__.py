"""What the emulator knows: records, tasks, definitions, partitions, in SQLite.

May import emulator.bodies. Nothing here knows about HTTP.
"""
