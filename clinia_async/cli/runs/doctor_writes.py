"""What the doctor finds out by writing: one record in a source of its own, which is deleted again."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from secrets import token_hex

from clinia_async.cli.runs.diagnosis import Diagnosis
from clinia_async.cli.runs.probe import Prober
from clinia_async.errors import CliniaError, TaskTimeout, reason_of
from clinia_async.models import Profile
from clinia_async.session.session import Session
from clinia_async.tasks.poller import Polling
from clinia_async.transport.retry import RetryPolicy

_NEEDED = 14
"""Requests at most: source, profile, record, six polls, four reads, and the deletion."""
_WAIT = 10.0
"""Seconds for the task; with pauses that double from `_FIRST_PAUSE` on these are six polls."""
_FIRST_PAUSE = 0.2
_READS = (0.0, 0.25, 1.0, 3.0)
"""Seconds before each read of the record."""


async def examine_writes(settings: Mapping[str, object], diagnosis: Diagnosis, prober: Prober) -> None:
    """Store one record in a scratch source, read it, and delete the source again."""
    if prober.left < _NEEDED:
        diagnosis.add("write", None, f"not tried: {prober.requests} requests were sent", "name fewer hosts")
        return
    polling = Polling(pace=lambda _, age: max(age, _FIRST_PAUSE), jitter=0)
    own = {"polling": polling, "retry": RetryPolicy(attempts=1), "observers": [prober.count]}
    session = Session(**{**settings, **own})  # type: ignore[arg-type]  # they made a session before
    try:
        async with session, _scratch_source(session, diagnosis) as source:
            await _write_and_read(session, source, diagnosis)
    except CliniaError as error:
        diagnosis.add("write", False, reason_of(error), error.advice or "check what the key may do")


@asynccontextmanager
async def _scratch_source(session: Session, diagnosis: Diagnosis) -> AsyncIterator[str]:
    source = f"doctor-{token_hex(6)}"
    await (await session.create_source(source))
    try:
        yield source
    finally:
        try:
            await (await session.delete_source(source))
        except CliniaError as error:
            advice = f"delete it: clinia-async source delete {source}"
            diagnosis.add("scratch source", False, f"{source} may be left: {error}", advice)
        else:
            diagnosis.add("scratch source", True, f"{source} was made and deleted")


async def _write_and_read(session: Session, source: str, diagnosis: Diagnosis) -> None:
    loop = asyncio.get_running_loop()
    await (await session.put_profile(source, "doctor", Profile({"name": {"type": "symbol"}})))
    task = await session.create_resource(source, "doctor", id="doctor-1", data={"name": "doctor"})
    begun, is_queued = loop.time(), not task.done()
    try:
        await task.wait(timeout=_WAIT)
    except TaskTimeout:
        diagnosis.add("write", None, f"ACCEPTED as a task, which did not end within {_WAIT:.0f} s")
        return
    ended = loop.time()
    found = "ACCEPTED as a task" if is_queued else "PERSISTED at once"
    diagnosis.add("write", True, f"{found}, done after {ended - begun:.2f} s")
    for pause in _READS:
        await asyncio.sleep(pause)
        try:
            await session.get_resource(source, "doctor", "doctor-1")
        except CliniaError:
            continue
        diagnosis.add("read after write", True, f"found {loop.time() - ended:.2f} s after the end")
        return
    lag = sum(_READS)
    diagnosis.add(
        "read after write", False, f"not found for {lag:.0f} s", "set CLINIA_RECONCILE_TIMEOUT higher"
    )
