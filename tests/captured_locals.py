"""What a program shows that prints the locals of a traceback, or of a coroutine that waits."""

from collections.abc import Iterator
from pathlib import Path
from types import CoroutineType, FrameType, GeneratorType

import clinia_async

TESTS = str(Path(__file__).parent)
OURS = str(Path(clinia_async.__file__).parent)


def frames_of(error: BaseException | None, seen: set[int] | None = None) -> Iterator[FrameType]:
    """Every frame in the tracebacks of an error and of those that it came from."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next
    yield from frames_of(error.__cause__, seen)
    yield from frames_of(error.__context__, seen)
    for each in getattr(error, "exceptions", ()):
        yield from frames_of(each, seen)


def waiting_frames(waiting: object) -> Iterator[FrameType]:
    """Every frame of a coroutine that waits, down to what it waits for."""
    while waiting is not None:
        if isinstance(waiting, CoroutineType):
            frame, waiting = waiting.cr_frame, waiting.cr_await
        elif isinstance(waiting, GeneratorType):
            frame, waiting = waiting.gi_frame, waiting.gi_yieldfrom
        else:
            return
        if frame is not None:
            yield frame


def held_in(frames: Iterator[FrameType], *secrets: str, within: str | None = None) -> list[str]:
    """Where one of the secrets stands in a local, of frames that are not of the tests, `within` a folder.

    A method that attrs has written is in no folder, and counts as one of ours.
    """
    return [
        f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}: {name}"
        for frame in frames
        if not frame.f_code.co_filename.startswith(TESTS)
        and (within is None or frame.f_code.co_filename.startswith((within, "<attrs generated")))
        for name, value in frame.f_locals.items()
        if any(secret in _text_of(value) for secret in secrets)
    ]


def _text_of(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  of a class of the caller
        return ""
