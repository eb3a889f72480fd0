"""Records from files."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from clinia_async.ingest.archives import read_blocks
from clinia_async.ingest.line_reader import LineReader
from clinia_async.ingest.lines import LARGEST_LINE, LineCutter
from clinia_async.ingest.records import IdMapping, Item
from clinia_async.ingest.strict_lines import Rules
from clinia_async.models import Action


async def read_ndjson(
    path: Path | None,
    source: str,
    *,
    action: Action = Action.CREATE,
    map_id: IdMapping | None = None,
    largest_line: int = LARGEST_LINE,
) -> AsyncGenerator[Item, None]:
    read = LineReader(Rules(source, action, map_id)).read
    cutter = LineCutter(largest_line)
    number = 0
    async with aclosing(read_blocks(path)) as blocks:
        async for block in blocks:
            for number, line in enumerate(cutter.cut(block), number + 1):
                yield read(number, line)
    for number, line in enumerate(cutter.rest(), number + 1):
        yield read(number, line)
