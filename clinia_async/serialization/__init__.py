"""JSON to values and back: cattrs, exact numbers, strict reading.

May import models and errors. The only user of cattrs. Nothing here knows about requests or files.
"""
