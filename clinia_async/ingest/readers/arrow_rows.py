"""The mapped columns of Arrow's batches of rows: where they are, and how their values are read."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from types import ModuleType

from clinia_async.ingest.readers.arrow_values import (
    ArrowColumn,
    ColumnReader,
    UnsupportedType,
    column_reader,
)
from clinia_async.ingest.readers.column_mapping import missing_column
from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.readers.table_rows import RowReader


class ArrowRows:
    """Reads the columns that a mapping names. Raises `InputError` for one that cannot be read."""

    def __init__(self, schema: object, rows: RowReader, timezone: str | None) -> None:
        self._arrow = pyarrow()
        self._schema = schema
        self._rows = rows
        self._timezone = timezone
        found = [self._find(name) for name in rows.columns]
        self._columns: list[tuple[Sequence[str], ColumnReader]] = found

    def columns(self, batch: object, in_seconds: object = None) -> list[Sequence[object]]:
        """Return the values of the mapped columns of a batch. Raises what Arrow raises for damage.

        `in_seconds` is the same batch with moments of INT96 in seconds, where there are any.
        """
        columns: list[Sequence[object]] = []
        for path, reader in self._columns:
            column = self._inside(batch, path)
            count: int = batch.num_rows  # type: ignore[attr-defined]
            other = None if in_seconds is None else self._inside(in_seconds, path)
            columns.append([None] * count if column is None else reader.read(column, other))
        return columns

    def _find(self, name: str) -> tuple[Sequence[str], ColumnReader]:
        """Return where a column is, by its name or by its path through structs, and how it is read."""
        names: list[str] = self._schema.names  # type: ignore[attr-defined]
        found = [field for field in self._schema if field.name == name]  # type: ignore[attr-defined]
        fields: list[tuple[Sequence[str], object]] = [((name,), field) for field in found]
        fields = fields or [*self._inner(name, self._schema)]
        if len(fields) != 1:
            raise missing_column(name, self._rows.field_of(name), names, found=len(fields))
        ((path, field),) = fields
        try:
            as_text = self._rows.is_text(name)
            return path, column_reader(self._arrow, field.type, self._timezone, as_text=as_text)  # type: ignore[attr-defined]
        except UnsupportedType as error:
            reason = str(error)
        raise InputError(
            f"the column for {self._rows.field_of(name)} cannot be carried: {reason}; leave it out"
        )

    def _inner(self, name: str, fields: object) -> Iterator[tuple[tuple[str, ...], object]]:
        """Yield what the dots of `name` may lead to, through structs: names may hold dots themselves."""
        for field in fields:  # type: ignore[attr-defined]
            if field.name == name:
                yield (name,), field
            elif name.startswith(f"{field.name}.") and self._arrow.types.is_struct(field.type):
                rest = name.removeprefix(f"{field.name}.")
                yield from (((field.name, *path), found) for path, found in self._inner(rest, field.type))

    def _inside(self, batch: object, path: Sequence[str]) -> ArrowColumn | None:
        """Return the column at `path`; None where Arrow gives none, as for a group without a column in it."""
        if path[0] not in batch.schema.names:  # type: ignore[attr-defined]
            return None
        inner: ArrowColumn = batch.column(path[0])  # type: ignore[attr-defined]
        compute = import_module("pyarrow.compute")
        for part in path[1:]:
            inner = compute.struct_field(inner, inner.type.get_field_index(part))  # type: ignore[attr-defined]
        return inner


def leaves(schema: object) -> Sequence[str]:
    """Return the paths of the columns that hold values: those of structs are in their fields."""
    return [*_leaves(pyarrow(), schema)]


def pyarrow(use: str = "Parquet needs") -> ModuleType:
    """Return the library. Raises `InputError` where it is not installed."""
    try:
        return import_module("pyarrow")
    except ImportError:
        pass
    raise InputError(f"{use} `pyarrow`: pip install 'clinia-async[parquet]'")


def _leaves(arrow: ModuleType, fields: object, before: str = "") -> Iterator[str]:
    for field in fields:  # type: ignore[attr-defined]
        if arrow.types.is_struct(field.type) and field.type.num_fields:
            yield from _leaves(arrow, field.type, f"{before}{field.name}.")
        else:
            yield before + field.name
