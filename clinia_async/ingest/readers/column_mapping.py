"""Which column of a table becomes which member of a record.

    type=relation,from.id=npi,from.type==practitioner,to.id=org,to.type==organization,data.beds:int=beds

`a=b` takes column b, `a==b` is the constant b. A member is `type`, `id`, `action`, an end's `from.id`,
`from.type`, `to.id` or `to.type`, or a path into `data`, `meta` or `contained` with dots. It may say what it
is to be: `:str`, `:int`, `:float`, `:bool` or `:json`. An item that holds a comma is put in quotation marks
as in CSV: `"data.name=last, first"`.
"""

import csv
import io
from collections.abc import Mapping, Sequence

from attrs import field, frozen

from clinia_async.errors import ConfigError

KINDS = frozenset({"str", "int", "float", "bool", "json"})
_LEAVES = frozenset({"type", "id", "action", "operation", "from.id", "from.type", "to.id", "to.type"})
_TREES = frozenset({"data", "meta", "contained"})


@frozen
class Member:
    """One member of a record: from `column`, or if that is None the `constant`."""

    path: str
    kind: str | None
    column: str | None
    constant: str = ""

    @property
    def place(self) -> str:
        return f"$.{self.path}"

    def __str__(self) -> str:
        """As it is written in a mapping."""
        kind = f":{self.kind}" if self.kind else ""
        value = f"={self.constant}" if self.column is None else self.column
        return f"{self.path}{kind}={value}"


def _members(columns: Mapping[str, str]) -> Sequence[Member]:
    members = tuple(_member(number, *item) for number, item in enumerate(columns.items(), 1))
    _check_paths([member.path for member in members])
    return members


def _member(number: int, name: str, value: str) -> Member:
    """Errors give the number of the item: a name may be a cell, where a table has no header."""
    path, colon, kind = name.partition(":")
    root = path.partition(".")[0]
    if path not in _LEAVES and (root not in _TREES or "" in path.split(".")):
        raise ConfigError(f"columns: item {number} names no member, such as type, from.id or data.name")
    if not value:
        raise ConfigError(f"columns: item {number} names no column")
    if colon and kind not in KINDS:
        raise ConfigError(f"columns: item {number} can be str, int, float, bool or json")
    is_constant = value.startswith("=")
    return Member(path, kind or None, None if is_constant else value, value[1:] if is_constant else "")


def _check_paths(paths: Sequence[str]) -> None:
    for path in paths:
        others = [other for other in paths if other == path or other.startswith(f"{path}.")]
        if len(others) > 1:
            raise ConfigError(f"columns: {path} is given twice, or as a whole and in parts")
    if "type" not in paths:
        raise ConfigError("columns: type must be given")


@frozen
class ColumnMapping:
    """The members of a record by the names of columns; a name after `=` is a constant.

    ColumnMapping({"type": "=practises-at", "from.id": "npi", "from.type": "=practitioner", ...})

    Raises `ConfigError` for a member that no record has. `parse` takes the text form, which `str` gives.
    """

    members: Sequence[Member] = field(converter=_members)

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
        csv.writer(text, lineterminator="").writerow([str(member) for member in self.members])
        return text.getvalue()

    @property
    def is_of_resources(self) -> bool:
        return not any(member.path.startswith(("from.", "to.")) for member in self.members)

    def member_at(self, place: str) -> Member | None:
        """The member at `place`, such as `$.from.id`, or the one whose inside that place is."""
        for member in self.members:
            rest = place.removeprefix(member.place)
            if rest != place and (not rest or rest[0] in ".["):
                return member
        return None
