"""Bodies of requests: their shapes, and what is wrong with them.

May import emulator.errors. Nothing here touches the database.
"""
