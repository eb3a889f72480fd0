"""Which column of a table becomes which field of a record.

    type=relation,from.id=npi,from.type==practitioner,to.id=org,to.type==organization,data.beds:int=beds

`a=b` takes column b, `a==b` is the constant b. A field is `type`, `id`, `action`, an end's `from.id`,
`from.type`, `to.id` or `to.type`, or a path into `data`, `meta` or `contained` with dots. It may say its
type: `:str`, `:int`, `:float`, `:bool` or `:json`. An item that holds a comma is put in quotation marks
as in CSV: `"data.name=last, first"`.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from clinia_async.errors import ConfigError
from clinia_async.ingest.readers.compression import InputError
from clinia_async.models.refusal import made_without_locals

KINDS = frozenset({"str", "int", "float", "bool", "json"})
_LEAVES = frozenset({"type", "id", "action", "operation", "from.id", "from.type", "to.id", "to.type"})
_TREES = frozenset({"data", "meta", "contained"})
NOT_NAMED = "columns are not named as fields, such as type and from.id: give a mapping of columns"
_SHOWN_NAMES = 20
_SHOWN_NAME = 40
"""Characters."""


@frozen
class MappedField:
    """One field of a record: from `column`, or if that is None the `constant`."""

    path: str
    kind: str | None
    column: str | None
    constant: str = ""

    @property
    def json_path(self) -> str:
        return f"$.{self.path}"

    def __str__(self) -> str:
        """As it is written in a mapping."""
        kind = f":{self.kind}" if self.kind else ""
        value = f"={self.constant}" if self.column is None else self.column
        return f"{self.path}{kind}={value}"


def _mapped_fields(columns: Mapping[str, str]) -> Sequence[MappedField]:
    if not isinstance(columns, Mapping):
        raise ConfigError("columns must be a mapping of fields to columns")
    texts: Sequence[object] = [*columns, *columns.values()]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError("columns must be a mapping of texts to texts")
    fields = tuple(_mapped_field(number, *item) for number, item in enumerate(columns.items(), 1))
    _check_paths([each.path for each in fields])
    return fields


def _mapped_field(number: int, name: str, value: str) -> MappedField:
    """Errors give the number of the item: a name may be a cell, where a table has no header."""
    path, colon, kind = name.partition(":")
    root = path.partition(".")[0]
    if path not in _LEAVES and (root not in _TREES or "" in path.split(".")):
        raise ConfigError(f"columns: item {number} names no field, such as type, from.id or data.name")
    if not value:
        raise ConfigError(f"columns: item {number} must name a column")
    if colon and kind not in KINDS:
        raise ConfigError(f"columns: item {number} must be str, int, float, bool or json")
    is_constant = value.startswith("=")
    return MappedField(path, kind or None, None if is_constant else value, value[1:] if is_constant else "")


def _check_paths(paths: Sequence[str]) -> None:
    for path in paths:
        others = [other for other in paths if other == path or other.startswith(f"{path}.")]
        if len(others) > 1:
            raise ConfigError(f"columns: {path} must be given once, as a whole or in parts")
    if "type" not in paths:
        raise ConfigError("columns: type must be given")


@made_without_locals
@frozen
class ColumnMapping:
    """The fields of a record by the names of columns; a name after `=` is a constant.

    ColumnMapping({"type": "=practises-at", "from.id": "npi", "from.type": "=practitioner", ...})

    Raises `ConfigError` for a field that no record has. `parse` takes the text form, which `str` gives.
    """

    fields: Sequence[MappedField] = field(converter=_mapped_fields)

    @classmethod
    def parse(cls, text: str) -> "ColumnMapping":
        """The mapping in the text form of the command line. Raises `ConfigError`."""
        try:
            items = next(csv.reader([text], strict=True), [])
        except csv.Error:
            items = [""]  # refused below
        columns: dict[str, str] = {}
        for item in items:
            name, equals, value = item.partition("=")
            if not equals or name.strip() in columns:
                raise ConfigError("columns must be items such as from.id=npi or type==treats, each once")
            columns[name.strip()] = value
        return cls(columns)

    def __str__(self) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow([str(each) for each in self.fields])
        return text.getvalue()

    @property
    def is_of_resources(self) -> bool:
        """Whether the rows are resources: no column is an end of a relationship."""
        return not any(each.path.startswith(("from.", "to.")) for each in self.fields)

    def field_at(self, json_path: str) -> MappedField | None:
        """Return the field at `json_path`, such as `$.from.id`, or the one in which that is."""
        for each in self.fields:
            rest = json_path.removeprefix(each.json_path)
            if rest != json_path and (not rest or rest[0] in ".["):
                return each
        return None


def own_mapping(columns: Iterable[str]) -> ColumnMapping:
    """Return the mapping of columns that are named as fields. Raises `InputError`."""
    try:
        return ColumnMapping({name: name for name in columns})
    except ConfigError:
        pass  # raised below
    raise InputError(NOT_NAMED)


def missing_column(name: str, field_path: str, columns: Sequence[str], *, found: int) -> InputError:
    """Return the error of a mapped column that stands in a table not once but `found` times."""
    if found:
        return InputError(f"the input has more than one column for {field_path}: leave one of them")
    shown = ", ".join(repr(each[:_SHOWN_NAME]) for each in columns[:_SHOWN_NAMES])
    more = " ..." if len(columns) > _SHOWN_NAMES else ""
    return InputError(
        f"the input has no column for {field_path}: it must have {name!r}, and there are {shown}{more}"
    )
