"""What is read from an input and is on its way: one record, a batch of records, a chunk.

May import calls and what is below. Nothing here reads files or sends.
"""
