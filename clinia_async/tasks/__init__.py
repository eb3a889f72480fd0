"""Tasks of the service: their handles, their polls, and the results that they end with.

May import models, errors, serialization and calls; not transport. Whatever sends a request does not belong here.
"""

from clinia_async.tasks.task import Task

__all__ = ["Task"]
