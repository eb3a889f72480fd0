"""Standard input kept in a temporary file, for what must be read twice."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from clinia_async.ingest.readers.compression import InputError

LARGEST_SPOOLED = 16 * 1024**3
"""Bytes of an input, decompressed, that are kept in a temporary file at most."""


async def spooled(blocks: AsyncIterator[bytes], opened: ExitStack) -> Path:
    """Return a file that holds `blocks`, readable by this user alone, which `opened` removes.

    Raises:
        InputError: there is too much of it, or no room for it.
    """
    path: Path | None = None
    try:
        made = tempfile.NamedTemporaryFile(prefix="clinia-async-")  # noqa: SIM115  `opened` closes it
        file = opened.enter_context(made)
        await _fill(file, blocks)
        path = Path(file.name)
    except InputError:
        raise
    except OSError:
        pass  # raised below
    if path is None:
        raise InputError("the folder for temporary files has no room for the input: give the file's name")
    return path


async def _fill(file: IO[bytes], blocks: AsyncIterator[bytes]) -> None:
    size = 0
    async for block in blocks:
        size += len(block)
        if size > LARGEST_SPOOLED:
            raise InputError(
                f"standard input that is read twice may be of {LARGEST_SPOOLED:,} bytes: give the file's name"
            )
        await asyncio.to_thread(file.write, block)
    await asyncio.to_thread(file.flush)
