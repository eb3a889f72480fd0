"""How long a test waits by the real clock for another process or thread."""

PATIENCE = 500
"""Seconds: against hangs alone, and less than the timeout of a test, so that what did not come is named."""
