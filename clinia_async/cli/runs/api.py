"""Runs one row of `api_table`: reads its parameters, calls the session's method, prints the answer."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import cast

import click
from attrs import fields

from clinia_async import calls, models
from clinia_async.calls.conflicts import Existing
from clinia_async.cli.api_table import ApiCommand, Effect, Kind, Parameter
from clinia_async.cli.connection_options import Connection
from clinia_async.cli.exit_codes import ExitCode, resume_command, say
from clinia_async.cli.output import print_each, print_one
from clinia_async.cli.runs.writes import printable, result_of, submitted
from clinia_async.cli.signals import Signals
from clinia_async.errors import ConfigError, DecodeError, InvalidWrite
from clinia_async.ingest.readers.files import read_records
from clinia_async.ingest.records.record import BadRecord, Record
from clinia_async.models import Ref
from clinia_async.models.value import Value, wire_name
from clinia_async.serialization import converter, strict_json
from clinia_async.serialization.exact_json import RawJson
from clinia_async.tasks.task import Task

_STANDARD_INPUT = "-"
_FOUND = {
    Existing.EQUAL: "an equal record was there already; nothing was created",
    Existing.DIFFERENT: "a different record is there, and was left as it is; nothing was created",
}
_MODELS: Mapping[str, type[object]] = {
    "ContainedIn": calls.ContainedIn,
    **{name: getattr(models, name) for name in models.__all__},
}


async def run_api_command(row: ApiCommand, options: Mapping[str, object], signals: Signals) -> int:
    """Run `row` with what was given on the command line; return the exit code.

    Raises `CliniaError` for all that goes wrong.
    """
    connection, output = cast("Connection", options["connection"]), str(options["output"])
    given = {each.name: options[each.name] for each in row.parameters}
    wait = bool(options.get("wait", True))
    _check_policy(given.get("on_existing"), wait=wait)
    if row.confirm and not options["yes"]:
        _confirm(row.confirm.format(**given))
    source = cast("str | None", options.get("source"))
    with _option_named(row):
        values = await _values(row, given, source or "")
        if row.has_source:
            values["source"] = source
        async with connection.session() as session:
            answer = getattr(session, row.method)(**values)
            if row.effect is Effect.LIST:
                await print_each(_records(answer), output)
            elif row.effect is Effect.READ:
                print_one(await answer, output)
            else:
                task = await submitted(cast("Awaitable[Task[object]]", answer), session, signals)
                await _finish(task, signals, output=output, wait=wait)
    return ExitCode.OK if signals.first is None else 128 + signals.first


def _confirm(question: str) -> None:
    """Ask on the terminal. Raises `click.Abort` for a no, and `ConfigError` where nobody can answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError(f"{question} Nobody can answer here: give --yes to do it")
    click.confirm(question, abort=True, err=True)


def _check_policy(on_existing: object, *, wait: bool) -> None:
    """Raise `ConfigError` for a policy that nobody would be there to follow when the task ends."""
    if on_existing not in {None, "fail"} and not wait:
        raise ConfigError(
            "--on-existing does not go with --no-wait: no token holds it; leave one of them out"
        )


@contextmanager
def _option_named(row: ApiCommand) -> Iterator[None]:
    """Puts the option or argument that a wrong value came from before the path of the error."""
    try:
        yield
    except InvalidWrite as error:
        name = error.path.removeprefix("$.").partition(".")[0].partition("[")[0]
        flags = {each.field: each.flag for each in row.parameters}
        flags |= {"source": "--source"} if row.has_source else {}
        flag = flags.get(name) or next((each.flag for each in row.parameters if each.model), None)
        text = f"{flag}: {error}" if flag else str(error)
    else:
        return
    raise ConfigError(text)


async def _values(row: ApiCommand, given: Mapping[str, object], source: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for each in row.parameters:
        value = given[each.name]
        if value is None or (each.kind is Kind.FLAG and not value):
            continue
        if each.kind is Kind.RECORDS:
            values[each.name] = await _writes(str(value), source)
        else:
            read = _READERS.get(each.kind)
            values[each.name] = value if read is None else read(each, value)
    partition = values.pop("partition", None)
    if isinstance(partition, models.Partition):
        values |= {"modules": partition.modules, "source": partition.source}
    return values


def _ref(_: Parameter, value: tuple[str, str]) -> Ref:
    type_, id_ = value
    return Ref(id_, type_)


def _keys(parameter: Parameter, value: object) -> object:
    return value if parameter.many else str(value).split("," if parameter.is_option else "/")


def _object(parameter: Parameter, text: bytes) -> RawJson:
    _document(parameter, text)
    return RawJson(text)


def _document(parameter: Parameter, text: bytes) -> object:
    """Read one JSON document, in which no key may be given twice. Raises `ConfigError`."""
    try:
        document = strict_json.loads_strictly(text)
    except DecodeError as error:
        problem = f"{error.path}: must be {error.expected}"
    else:
        if isinstance(document, list if parameter.many else dict):
            return document
        problem = f"$: must be {'a list' if parameter.many else 'an object'}"
    raise ConfigError(f"{parameter.flag}: {problem}")


def _model(parameter: Parameter, text: bytes) -> object:
    """Read the model that `parameter` names. Raises `ConfigError` if one of its fields would be lost."""
    document = _document(parameter, text)
    model = _MODELS[parameter.model]
    if model is models.Partition:  # its key is an argument of the command, and its status is the service's
        document = {**cast("dict[str, object]", document), "key": ""}
    try:
        value: object = converter.structure(document, Sequence[model] if parameter.many else model)  # type: ignore[valid-type]
    except DecodeError as error:
        problem = f"{error.path}: must be {error.expected}"
    else:
        found = _problem(value)
        if found is None:
            return value
        problem = found
    raise ConfigError(f"{parameter.flag}: {problem}")


def _problem(value: object) -> str | None:
    """What keeps a document of a person, read as `value`, from being sent."""
    if isinstance(value, models.Partition) and isinstance(value.source, models.OtherSource):
        return "$.source.type: must be DATA_SOURCE or MDM"
    unknown = next(_unknown(value, "$"), None)
    return unknown and f"{unknown}: is no field of the API, or is of another type; correct or remove it"


def _unknown(value: object, path: str) -> Iterator[str]:
    """The paths of the fields that the library does not know: it would pass them on as they are."""
    if isinstance(value, Value):
        yield from (f"{path}.{name}" for name in value.unknown_fields or ())
        for each in fields(type(value)):
            if each.name != "unknown_fields":
                yield from _unknown(getattr(value, each.name), f"{path}.{wire_name(each.name)}")
    elif isinstance(value, tuple | list):
        for place, inner in enumerate(value):
            yield from _unknown(inner, f"{path}[{place}]")


_READERS: Mapping[Kind, Callable[[Parameter, object], object]] = {
    Kind.REF: cast("Callable[[Parameter, object], object]", _ref),
    Kind.KEYS: _keys,
    Kind.OBJECT: cast("Callable[[Parameter, object], object]", _object),
    Kind.FILTER: cast("Callable[[Parameter, object], object]", _document),
    Kind.MODEL: cast("Callable[[Parameter, object], object]", _model),
}


async def _writes(name: str, source: str) -> list[object]:
    """The writes of a file. Raises `ConfigError` for the first line that is wrong: all of them go at once."""
    path = None if name == _STANDARD_INPUT else Path(name)
    writes: list[object] = []
    async with aclosing(read_records(path, source)) as records:
        async for record in records:
            if isinstance(record, BadRecord):
                raise ConfigError(f"FILE: line {record.line}: {record.path}: {record.reason}")
            if isinstance(record, Record):
                writes.append(record.write)
    if not writes:
        raise ConfigError("FILE: holds no record: name one that does")
    return writes


async def _records(answers: AsyncIterator[object]) -> AsyncIterator[object]:
    async for answer in answers:
        yield answer.record if isinstance(answer, models.Hit) else answer


async def _finish(task: Task[object], signals: Signals, *, output: str, wait: bool) -> None:
    """Print what became of a write that was answered: its result, or the token of its task."""
    if task.done() and wait:
        _print_result(task, await task, output)
    elif not wait:
        click.echo("persisted" if task.done() else task.token())
    elif signals.first is not None:
        say(f"the task goes on; {resume_command(task.token())}")
    else:
        _print_result(task, await result_of(task), output)


def _print_result(task: Task[object], result: object, output: str) -> None:
    if task.existing is not None:
        say(_FOUND[task.existing])
    print_one(printable(result), output)
