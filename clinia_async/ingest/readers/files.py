"""Records from files: one way in for every format, and a name for what was read."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence, Set
from contextlib import ExitStack, aclosing, suppress
from functools import partial
from io import BufferedReader
from pathlib import Path

from attrs import define, field

from clinia_async.errors import ConfigError
from clinia_async.errors.settings import Number, check_class, optional_path_of, refuse_unknown_options
from clinia_async.ingest import readers
from clinia_async.ingest.outcomes.dead_letters import PREFIX
from clinia_async.ingest.readers.column_mapping import ColumnMapping
from clinia_async.ingest.readers.compression import (
    READ_POSITION,
    InputError,
    InputStream,
    check_unchanged,
    followed,
    open_input,
    read_block,
    written,
)
from clinia_async.ingest.readers.fhir_content import FhirContent, PassedOver
from clinia_async.ingest.readers.fhir_identity import Servers, home_base
from clinia_async.ingest.readers.formats import (
    FHIR,
    PEEKED,
    TABLES,
    InputFormat,
    checked_format,
    format_asked,
    format_by_name,
    is_peeked,
)
from clinia_async.ingest.readers.input_paths import Paths, is_regular_file, listed
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE, LineSplitter
from clinia_async.ingest.readers.ndjson import LineReader, UnreadLines
from clinia_async.ingest.readers.ndjson_strict import Rules, checked_rules, known_action, name_of
from clinia_async.ingest.readers.spool import spooled
from clinia_async.ingest.readers.table_options import TableOptions, inapplicable
from clinia_async.ingest.records.record import Barrier, IdMapping, Item
from clinia_async.ingest.records.record_batch import RecordBatch, in_file
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.models import Action
from clinia_async.models.refusal import without_locals
from clinia_async.serialization import exact_json

_DIGEST_BLOCK = 1024 * 1024
Block = Iterable[Item | RecordBatch | Barrier]
_UTF8 = "utf-8"
_ANY_SOURCE = "any"
_WITH_COLUMNS = TABLES | {InputFormat.DEAD_LETTERS}


@without_locals
def read_ndjson(
    path: Path | str | None,
    source: str,
    *,
    action: Action | str = Action.CREATE,
    map_id: IdMapping | None = None,
    largest_line: int = LARGEST_LINE,
) -> RecordStream:
    """Return the records of an NDJSON file, plain, gzip or zstd; None reads standard input.

    Nothing is sent for a line that is wrong: it comes as a `BadRecord`.

    Args:
        path: The file.
        source: The key of the source that the records belong to.
        action: The action of lines that name none.
        map_id: What is done to the ids of resources and of both ends before they are checked, such as
            `escape_dots`.
        largest_line: The most bytes of a line; a longer one comes as a `BadRecord`.

    Raises:
        ConfigError: At once, if an option is wrong.
        InvalidWrite: At once, if the source is no key.
        InputError: From the stream, where the file cannot be read on.
    """
    path = optional_path_of("path", path)
    Number(least=1, whole=True).check("largest_line", largest_line)
    rules = checked_rules(source, action, map_id)
    return RecordStream(_read_ndjson(path, LineReader(rules), largest_line), rules.options())


@refuse_unknown_options()
def read_records(
    path: Paths,
    source: str,
    *,
    format: InputFormat | str | None = None,
    columns: ColumnMapping | None = None,
    table: TableOptions | None = None,
    action: Action | str = Action.CREATE,
    map_id: IdMapping | None = None,
    passed_over: PassedOver | None = None,
    fhir: FhirContent | str = FhirContent.REFERENCES,
    fhir_base: str | None = None,
) -> RecordStream:
    """Return the records of a file, or of several one after another; None reads standard input.

    Each may be compressed. Dead letters are read whatever the format, so that they can be read with the
    options of the run that they are from: of those of a table with `decimal` alone, for their rows are in
    cells already, and all of them are read. Nothing is sent for a record that is wrong: it comes as a
    `BadRecord`. Memory is bounded, whatever the size of the file.

    Args:
        format: What the files hold; None for what their names say (`.csv`, `.tsv`, `.parquet`, `.json`,
            `.fhir.json`, `.fhir.ndjson`), and NDJSON for any other name.
        columns: The fields of records by columns, for tables. Without it columns bear the names of fields.
        table: How tables are written: delimiter, encoding, time zone and the like.
        action: The action of records that name none.
        map_id: What is done to the ids of resources and of both ends before they are checked, such as
            `escape_dots`.
        passed_over: Counts, by reason, the references of FHIR that are no relationships, resources that are
            not loaded, and copies of one resource that refer to something else, all of which are loaded.
        fhir: What of FHIR becomes records: `references` as relationships, `resources`, or `both`, for which
            the files are read twice, and the relationships wait until the resources are stored; standard
            input is kept in a temporary file for that.
        fhir_base: The base URL of the server whose FHIR ids stay as they are; those of others get
            the URL of theirs as a suffix. None is the first server that the input names.

    Raises:
        ConfigError: At once, for options that are wrong or do not go together, and for a file that is named
            twice.
        InvalidWrite: At once, if the source is no key.
        InputError: From the stream, where a file cannot be read on, or plainly is of another format.
    """
    asked = format_asked(format)
    paths = listed(path)
    formats = {asked or format_by_name(each) for each in paths}
    if columns is not None and not formats <= {*_WITH_COLUMNS, None} and not _are_dead_letters(paths):
        raise ConfigError("columns are for CSV and Parquet: leave them out for other formats")
    if table is not None:
        check_class("table", table, TableOptions)
    if columns is not None:
        check_class("columns", columns, ColumnMapping)
    content = _fhir_content(fhir)
    table, for_fhir = table or TableOptions(), content is not FhirContent.REFERENCES or fhir_base is not None
    useless = _useless(table, formats, for_fhir=for_fhir)
    if useless is not None and not _are_dead_letters(paths):
        raise ConfigError(f"{useless}: leave it out for other formats")
    if passed_over is not None:
        check_class("passed_over", passed_over, Counter)
    counts: PassedOver = Counter() if passed_over is None else passed_over
    base = home_base(fhir_base)

    rules = checked_rules(source, action, map_id)
    options = _dead_letter_options(rules, content, table)

    def files(content: FhirContent, counts: PassedOver, *, is_second: bool = False) -> _Files:
        lines = LineReader(rules)

        def fhir() -> "readers.FhirReader":
            return readers.FhirReader(lines, counts, Servers(base), content, is_second)

        return _Files(asked, columns, table, lines, fhir, for_fhir, options, is_second)

    if content is not FhirContent.BOTH:
        return RecordStream(files(content, counts).read(paths), options)
    first = files(FhirContent.RESOURCES, Counter())
    second = files(FhirContent.REFERENCES, counts, is_second=True)
    return RecordStream(_twice(first, second, paths), options)


def read_fhir_files(
    path: Path | Sequence[Path], format_: InputFormat | str, reader: "readers.FhirReader"
) -> AsyncGenerator[Block, None]:
    """Yield what a reader of FHIR makes of files. Raises `InputError`, and at once `ConfigError`."""
    asked = format_asked(format_)
    if asked not in FHIR:
        raise ConfigError("the format must be fhir, fhir-ndjson or fhir-document")
    return _Files(asked, None, TableOptions(), reader.lines, lambda: reader, True, {}).read(listed(path))


def _useless(table: TableOptions, formats: Set[InputFormat | None], *, for_fhir: bool) -> str | None:
    """Return which option was given that none of the formats has a use for, and what it is for."""
    found = inapplicable(table, formats)
    if found is None and for_fhir and not formats & {None, InputFormat.DEAD_LETTERS, *FHIR}:
        return "fhir or fhir_base is for FHIR"
    return found


async def _twice(
    first: "_Files", second: "_Files", paths: Sequence[Path | None]
) -> AsyncGenerator[Block, None]:
    """Yield all that `first` reads, and what `second` reads of FHIR once that is stored."""
    with ExitStack() as opened:
        if None in paths:
            stream = opened.enter_context(first.opened(None))
            kept = await spooled(stream.blocks(), opened)
            paths = [kept if path is None else path for path in paths]
        async with aclosing(first.read(paths)) as blocks:
            async for block in blocks:
                yield block
        yield [Barrier()]
        async with aclosing(second.read(paths)) as blocks:
            async for block in blocks:
                yield block


@without_locals
async def identity_of(
    path: Paths,
    *,
    format: InputFormat | str | None = None,
    columns: ColumnMapping | None = None,
    table: TableOptions | None = None,
    action: Action | str = Action.CREATE,
    map_id: IdMapping | None = None,
    fhir: FhirContent | str = FhirContent.REFERENCES,
    fhir_base: str | None = None,
) -> str | None:
    """Return a SHA-256 of the files and of all that changes what their records are; None for standard input.

    `format`, `columns`, `table`, `action`, `map_id`, `fhir` and `fhir_base` are those of `read_records`. A
    `map_id` counts by its name.

    Raises:
        ConfigError: an option is wrong.
        InputError: a file cannot be read.
    """
    paths = listed(path)
    read_records(  # which checks them
        path,
        _ANY_SOURCE,
        format=format,
        columns=columns,
        table=table,
        action=action,
        map_id=map_id,
        fhir=fhir,
        fhir_base=fhir_base,
    )
    if None in paths:
        return None
    asked = format_asked(format)
    options = {
        "format": [str(asked or format_by_name(each) or InputFormat.NDJSON) for each in paths],
        "columns": None if columns is None else str(columns),
        "action": str(known_action(action)),
        "map_id": None if map_id is None else name_of(map_id),
        "fhir": str(_fhir_content(fhir)),
        "fhir_base": fhir_base,
        "table": None if table is None else table.identity(),
    }
    digests = [await _digest(each) for each in paths]
    return hashlib.sha256(b"".join(digests) + exact_json.dumps(options)).hexdigest()


async def _digest(path: Path | None) -> bytes:
    content = hashlib.sha256()
    with open_input(path) as file, followed(file):
        before = written(file)
        # block by block, so that a cancel need not wait for the end of the file
        while await asyncio.to_thread(_digest_block, file, content.update):
            pass
        check_unchanged(file, before)
    return content.digest()


def _digest_block(file: BufferedReader, update: Callable[[bytes], None]) -> bool:
    """Add the next block of a file to its digest; return whether there was one."""
    try:
        block = file.read(_DIGEST_BLOCK)
    except OSError as error:
        reason = error.strerror
    else:
        update(block)
        return bool(block)
    raise InputError(f"the input cannot be read: {reason}")


def _fhir_content(content: FhirContent | str) -> FhirContent:
    with suppress(ValueError):
        if isinstance(content, str):
            return FhirContent(content)
    raise ConfigError("fhir must be references, resources or both")


def _are_dead_letters(paths: Sequence[Path | None]) -> bool:
    """Return whether all files are dead letters, under whatever name."""
    found = [each for each in paths if each is not None and is_regular_file(each)]
    return bool(found) and all(map(_begins_with_letter, found))


def _begins_with_letter(path: Path) -> bool:
    with open_input(path) as file:
        return read_block(file)[: len(PREFIX)] == PREFIX


def _dead_letter_options(rules: Rules, content: FhirContent, table: TableOptions) -> Mapping[str, str]:
    """Return the options that change what the text of a dead letter is, where they are not the usual ones."""
    given = {**rules.options(), "fhir": str(content), "decimal": table.decimal}
    usual = {"fhir": str(FhirContent.REFERENCES), "decimal": TableOptions().decimal}
    return {name: value for name, value in given.items() if usual.get(name) != value}


@define(eq=False, repr=False)
class _Files:
    """How the files of one job are read."""

    asked: InputFormat | None
    columns: ColumnMapping | None
    table: TableOptions
    lines: LineReader
    make_fhir: "Callable[[], readers.FhirReader]"
    for_fhir: bool
    """Whether an option was given that FHIR alone has a use for."""
    options: Mapping[str, str]
    """Those that dead letters name."""
    is_second: bool = False
    """Whether a pass over the same files went before."""
    _fhir: "readers.FhirReader | None" = field(default=None, init=False)
    _left: Sequence[Path | None] = field(default=(), init=False)
    """The file that is read, and those after it."""

    @property
    def fhir(self) -> "readers.FhirReader":
        """The reader of FHIR: few files are, and it takes memory to load."""
        if self._fhir is None:
            self._fhir = self.make_fhir()
            self._expect_histories(self._fhir)
        return self._fhir

    async def read(self, paths: Sequence[Path | None]) -> AsyncGenerator[Block, None]:
        await asyncio.to_thread(self._check_files, paths)
        try:
            async with aclosing(self._read_all(paths)) as blocks:
                async for block in blocks:
                    yield block
            if self._fhir is not None:
                await asyncio.to_thread(self._fhir.count_copies)
        finally:
            if self._fhir is not None:
                self._fhir.close()

    async def _read_all(self, paths: Sequence[Path | None]) -> AsyncGenerator[Block, None]:
        for place, path in enumerate(paths):
            self._left = paths[place:]
            if self._fhir is not None:
                self._expect_histories(self._fhir)
            if len(paths) == 1:
                async with aclosing(self._read(path, is_only=True)) as blocks:
                    async for block in blocks:
                        yield block
                return
            name, error = str(path), None
            try:
                async with aclosing(self._read(path)) as blocks:
                    async for block in blocks:
                        yield in_file(block, name)
            except InputError as found:
                error = str(found)
            if error is not None:
                raise InputError(f"{name}: {error}")

    def _expect_histories(self, fhir: "readers.FhirReader") -> None:
        """Have the histories in the files that are left read ahead when the first of them is met."""
        files = [path for path in self._left if path is not None]
        fhir.is_read_once = len(files) < len(self._left)
        if not (fhir.is_read_once or fhir.histories.are_known):
            fhir.histories.ahead = partial(self._read_ahead, files)

    def _read_ahead(self, paths: Sequence[Path]) -> None:
        """Read the versions in the histories of files, up to the first file that cannot be read."""
        reader, position = self.fhir.ahead(), READ_POSITION.set(None)
        letters = readers.DeadLetterReader(self.lines, reader, self.columns, self._rows, self.options)
        try:
            for path in paths:
                with self.opened(path) as stream:
                    format_ = self._format(stream)
                    if format_ in FHIR:
                        reader.skip(stream, path, format_)
                    elif format_ is InputFormat.DEAD_LETTERS:
                        _skip_dead_letters(stream, letters)
        except InputError:
            return  # it is raised again when the file is reached
        finally:
            READ_POSITION.reset(position)

    def opened(self, path: Path | None) -> InputStream:
        marks = (self.table.delimiter or "") + self.table.quote + (self.table.escape or "")
        control = "".join(mark for mark in marks if mark < " ").encode()
        return InputStream(path, any_encoding=self.table.encoding != _UTF8, marks=control)

    def _format(self, stream: InputStream) -> InputFormat:
        is_named = (self.asked or format_by_name(stream.path)) is not None
        start = stream.peek(PEEKED, until=partial(is_peeked, is_named=is_named))
        by_name = format_by_name(stream.path) or format_by_name(stream.member)
        found = checked_format(self.asked, by_name, start)
        if found is InputFormat.PARQUET and stream.is_compressed:
            raise InputError("Parquet is not read from an archive, nor compressed as a whole: unpack it")
        if self.columns is not None and found not in _WITH_COLUMNS:
            raise InputError("columns are for CSV and Parquet: name which one it is with --format")
        return found

    def _check_files(self, paths: Sequence[Path | None]) -> None:
        """Raise `InputError` before anything is read, if one of several files cannot be read as it should.

        So does an option that none of them has a use for.
        """
        if len(paths) == 1 or self.is_second:
            return
        formats: set[InputFormat | None] = set()
        position = READ_POSITION.set(None)
        try:
            for path in paths:
                formats.add(None if path is None else self._format_of(path))
        finally:
            READ_POSITION.reset(position)
        self._check_use(formats)

    def _format_of(self, path: Path) -> InputFormat:
        """Return the format of one of several files. Raises `InputError`, with its name."""
        try:
            with self.opened(path) as stream:
                return self._format(stream)
        except InputError as error:
            reason = str(error)
        raise InputError(f"{path}: {reason}")

    def _check_use(self, formats: Set[InputFormat | None]) -> None:
        useless = _useless(self.table, formats, for_fhir=self.for_fhir)
        if useless is not None:
            raise InputError(f"{useless}: leave it out for other formats")

    async def _read(self, path: Path | None, *, is_only: bool = False) -> AsyncGenerator[Block, None]:
        with self.opened(path) as stream:
            format_ = await asyncio.to_thread(self._format, stream)
            if is_only:
                self._check_use({format_})
            if self.is_second and format_ not in FHIR | {InputFormat.DEAD_LETTERS}:
                return  # the first pass has read all of it
            async with aclosing(self._blocks(stream, format_)) as blocks:
                async for block in blocks:
                    yield block

    def _blocks(self, stream: InputStream, format_: InputFormat) -> AsyncGenerator[Block, None]:
        by_format: Mapping[InputFormat, Callable[[], AsyncGenerator[Block, None]]] = {
            InputFormat.NDJSON: lambda: _read_lines(stream, self.lines, LARGEST_LINE),
            InputFormat.DEAD_LETTERS: lambda: _read_lines(
                stream, self._dead_letters(), readers.LARGEST_LETTER
            ),
            InputFormat.JSON: lambda: readers.read_json(stream, self.lines),
            InputFormat.FHIR: lambda: self.fhir.read(stream),
            InputFormat.FHIR_NDJSON: lambda: self.fhir.read_lines(stream),
            InputFormat.FHIR_DOCUMENT: lambda: self.fhir.read_document(stream),
            InputFormat.CSV: lambda: readers.read_csv(stream, self.columns, self.table, self._rows),
            InputFormat.PARQUET: lambda: readers.read_parquet(
                stream.path, self.columns, self.table, self._rows
            ),
        }
        return by_format[format_]()

    def _dead_letters(self) -> "readers.DeadLetterReader":
        return readers.DeadLetterReader(self.lines, self.fhir, self.columns, self._rows, self.options)

    def _rows(self, mapping: ColumnMapping) -> "readers.RowReader":
        return readers.RowReader(self.lines, mapping, self.table.decimal)


def _skip_dead_letters(stream: InputStream, reader: "readers.DeadLetterReader") -> None:
    splitter = LineSplitter(readers.LARGEST_LETTER)
    while block := stream.read():
        lines = splitter.split(block)
        reader.read_all([1] * len(lines), lines)
    rest = splitter.rest()
    reader.read_all([1] * len(rest), rest)


async def _read_lines(
    stream: InputStream, reader: "LineReader | readers.DeadLetterReader", largest_line: int
) -> AsyncGenerator[Block, None]:
    splitter = LineSplitter(largest_line)
    number = 1
    async with aclosing(stream.blocks()) as blocks:
        async for block in blocks:
            lines = splitter.split(block)
            yield _block(reader, number, lines)
            number += len(lines)
    yield _block(reader, number, splitter.rest())


def _block(
    reader: "LineReader | readers.DeadLetterReader", number: int, lines: Sequence[bytes | None]
) -> Block:
    numbers = range(number, number + len(lines))
    if isinstance(reader, LineReader):
        return UnreadLines(reader, numbers, lines)
    return reader.read_all(numbers, lines)


async def _read_ndjson(
    path: Path | None, reader: LineReader, largest_line: int
) -> AsyncGenerator[Block, None]:
    with InputStream(path) as stream:
        async with aclosing(_read_lines(stream, reader, largest_line)) as blocks:
            async for block in blocks:
                yield block
