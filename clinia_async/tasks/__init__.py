"""Tasks of the service: their handles, their polls, and the results that they end with.

May import models, errors, serialization and calls; not transport. Nothing here sends a request.
"""

from clinia_async.tasks.task import Task

__all__ = ["Task"]
