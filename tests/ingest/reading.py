"""Lines and files read into records, for the tests of what is read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clinia_async import Action, BadRecord, Blank, Record, read_records
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import Rules
from tests.ingest.running import SOURCE

Item = Record | BadRecord | Blank


def read_line(
    text: str | bytes | None,
    *,
    number: int = 1,
    action: Action = Action.CREATE,
    map_id: Callable[[str], str] | None = None,
) -> Item:
    raw = text.encode() if isinstance(text, str) else text
    return LineReader(Rules(SOURCE, action, map_id)).read(number, raw)


def good(text: str | bytes, **options: Any) -> Record:
    found = read_line(text, **options)
    assert isinstance(found, Record), found
    return found


def bad(text: str | bytes | None, **options: Any) -> BadRecord:
    found = read_line(text, **options)
    assert isinstance(found, BadRecord), found
    return found


async def read_file(path: Path, **options: Any) -> Sequence[Item]:
    return [each async for each in read_records(path, SOURCE, **options)]


def reported(items: Sequence[Item]) -> list[tuple[int, str, str]]:
    """Line, path and reason of each that is bad."""
    return [(each.line, each.path, each.reason) for each in items if isinstance(each, BadRecord)]
