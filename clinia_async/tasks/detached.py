"""Tasks of asyncio that work for many callers, and so in the context of none of them."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from functools import partial


def create_detached(work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
    """Run `work` in a task that has no context variable of the caller that starts it.

    Its spans and its log must not be those of the one caller that happened to start it, such as a request of
    a web service, and what that caller's variables hold must not live as long.
    """
    # no `context=` of `create_task`: a task factory of the program may not take it
    return Context().run(partial(asyncio.get_running_loop().create_task, work, name=name))
