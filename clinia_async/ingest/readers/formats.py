"""Which format an input is read as: what was asked for, else what its name says, held against its content."""

import re
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from clinia_async.errors import ConfigError, DecodeError
from clinia_async.ingest.outcomes.dead_letters import PREFIX
from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.readers.containers import COMPRESSED, PARQUET, begins_as_json
from clinia_async.serialization.exact_json import loads


class InputFormat(StrEnum):
    """What an input holds."""

    NDJSON = "ndjson"
    """One record a line."""
    JSON = "json"
    """A list of records, or one record."""
    CSV = "csv"
    PARQUET = "parquet"
    FHIR = "fhir"
    """Either of the two that follow, whichever it is."""
    FHIR_NDJSON = "fhir-ndjson"
    """One resource or Bundle a line."""
    FHIR_DOCUMENT = "fhir-document"
    """One Bundle, one list of resources or one resource."""
    DEAD_LETTERS = "dead-letters"
    """What a run wrote of records that did not land; read so whatever the format, where a file begins so."""


TABLES = frozenset({InputFormat.CSV, InputFormat.PARQUET})
FHIR = frozenset({InputFormat.FHIR, InputFormat.FHIR_NDJSON, InputFormat.FHIR_DOCUMENT})
PEEKED = 64 * 1024
"""Bytes at the start of an input that are held against its format."""

_ENDINGS = {
    ".dead.ndjson": InputFormat.DEAD_LETTERS,
    ".csv": InputFormat.CSV,
    ".tsv": InputFormat.CSV,
    ".parquet": InputFormat.PARQUET,
    ".fhir.ndjson": InputFormat.FHIR,
    ".fhir.json": InputFormat.FHIR,
    ".json": InputFormat.JSON,
    ".ndjson": InputFormat.NDJSON,
    ".jsonl": InputFormat.NDJSON,
}
_BOM = b"\xef\xbb\xbf"
_JSON_LIST = re.compile(rb'\s*\[\s*([\[{"\]0-9.-]|true|false|null|\Z)')
_JSON_LINE = re.compile(rb'^[^\S\n]*+(\{|\[[^\S\n]*[\[{"])', re.MULTILINE)
_RESOURCE = re.compile(rb'\s*+(?:\[\s*+)?\{\s*"resourceType"\s*:')
_RESOURCE_TYPE = re.compile(rb'\{\s*"resourceType"\s*:|^[^\S\n]{1,8}"resourceType"[^\S\n]*:', re.MULTILINE)


def format_asked(format_: InputFormat | str | None) -> InputFormat | None:
    """Return the format of this name. Raises `ConfigError` if there is none."""
    if format_ is None:
        return None
    with suppress(ValueError):
        if isinstance(format_, str):
            return InputFormat(format_)
    *names, last = InputFormat
    raise ConfigError(f"the format must be {', '.join(names)} or {last}")


def format_by_name(path: Path | None) -> InputFormat | None:
    """Return the format that the name of a file says; None if it says none."""
    name = _bare_name(path)
    return next((known for ending, known in _ENDINGS.items() if name.endswith(ending)), None)


def is_named_tsv(path: Path | None) -> bool:
    """Return whether the name of a file says that tabs separate its cells."""
    return _bare_name(path).endswith(".tsv")


def _bare_name(path: Path | None) -> str:
    """Return the name of a file in lower case, without what says how it is compressed."""
    name = "" if path is None else path.name.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return name


def is_peeked(start: bytes, *, is_named: bool) -> bool:
    """Return whether `start` is enough for `checked_format`: it holds a whole line.

    Where neither a name nor an option says what the input is, the line must be the start of JSON.
    """
    return b"\n" in start.lstrip() and (is_named or begins_as_json(start))


def checked_format(asked: InputFormat | None, by_name: InputFormat | None, start: bytes) -> InputFormat:
    """Return the format of an input that begins with `start`.

    Raises `InputError` with the option to give, where the content is plainly that of another one.
    """
    start = start.removeprefix(_BOM)
    if start.startswith(PREFIX):
        return InputFormat.DEAD_LETTERS
    if asked is InputFormat.DEAD_LETTERS and start.strip():
        raise InputError("this holds no dead letters: send it with `ingest`")
    known = asked or by_name or InputFormat.NDJSON
    known = InputFormat.NDJSON if known is InputFormat.DEAD_LETTERS else known
    if known is not InputFormat.PARQUET and start.startswith(PARQUET):
        raise InputError("this is Parquet: read it with --format parquet")
    if known in TABLES or known in FHIR:
        _check_table(known, start)
        return known
    first = start.lstrip()[:1]
    if first in {b"{", b"["} and _is_fhir(start):
        raise InputError("this is FHIR: read it with --format fhir")
    if known is InputFormat.JSON:
        return InputFormat.NDJSON if asked is None and _is_object(_first_line(start)) else known
    if first == b"[" and _JSON_LIST.match(start):
        raise InputError("this is a JSON list, and not one record a line: read it with --format json")
    _check_lines(start, is_asked=asked is not None)
    if asked is None and by_name is None and start.strip() and not _JSON_LINE.search(start):
        raise InputError("this is no NDJSON: none of its first lines is JSON; give its format with --format")
    return known


def _check_table(format_: InputFormat, start: bytes) -> None:
    """Raise `InputError` if the first row of CSV is JSON."""
    if format_ is InputFormat.CSV and start.lstrip()[:1] == b"{" and _is_object(_first_line(start)):
        name = "fhir" if _is_fhir(start) else "ndjson"
        raise InputError(f"this is JSON, and no table: read it with --format {name}")


def _check_lines(start: bytes, *, is_asked: bool) -> None:
    """Raise `InputError` if what begins so is JSON, and not one value a line that ends with a line feed.

    Where NDJSON was not asked for, also if it is plainly CSV.
    """
    if not is_asked and _is_csv(start):
        raise InputError("this is no NDJSON, and looks like CSV: read it with --format csv")
    lines = [line for line in start.split(b"\n")[:10] if line.strip()]
    if len(lines) > 1 and lines[0].strip() == b"{" and not any(map(_is_object, lines[1:])):
        raise InputError("this is JSON over several lines: read it with --format json")
    if len(lines) == 1 and b"\r" in start.strip() and _is_object(start.lstrip().partition(b"\r")[0]):
        raise InputError("its lines end with carriage returns alone; they must end with line feeds")


def _is_object(line: bytes) -> bool:
    return isinstance(_loads(line), dict)


def _is_fhir(start: bytes) -> bool:
    if _RESOURCE.match(start):
        return True
    value = _loads(_first_line(start))
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None:
        return _RESOURCE_TYPE.search(start) is not None and not start.lstrip().startswith(b'{"type"')
    return isinstance(value, dict) and "resourceType" in value


def _is_csv(start: bytes) -> bool:
    lines = [line for line in start.splitlines() if line.strip()][:10]
    if len(lines) < 2 or any(line.lstrip()[:1] in b'{["' for line in lines):
        return False
    return any(
        len({line.count(mark) for line in lines[:-1]} - {0}) == 1 for mark in (b",", b";", b"\t", b"|")
    )


def _first_line(start: bytes) -> bytes:
    return start.lstrip().partition(b"\n")[0]


def _loads(line: bytes) -> object:
    try:
        return loads(line)
    except DecodeError:
        return None
