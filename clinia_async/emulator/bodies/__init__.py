"""Bodies of requests, checked and turned into operations.

May import emulator.errors. Neither the database nor HTTP belongs here.
"""
