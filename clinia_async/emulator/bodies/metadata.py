"""The rules of `meta` in a write, after the historical import page."""

import re
from datetime import datetime
from typing import NamedTuple

from clinia_async.emulator.bodies.shapes import array, fields, matching
from clinia_async.emulator.bodies.strict_json import encode
from clinia_async.emulator.errors import invalid

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Meta(NamedTuple):
    """As the client wrote it; `identifier` is JSON."""

    created_at: str | None = None
    updated_at: str | None = None
    identifier: str | None = None


def checked(value: object, now: datetime) -> Meta:
    meta = fields(value, "meta", may={"createdAt", "updatedAt", "identifier"})
    created = _Instant(meta["createdAt"], "meta.createdAt") if "createdAt" in meta else None
    updated = _Instant(meta["updatedAt"], "meta.updatedAt") if "updatedAt" in meta else None
    if updated and not created:
        raise invalid("meta.updatedAt needs meta.createdAt")
    if updated and created and updated.moment < created.moment:
        raise invalid("meta.updatedAt must not come before meta.createdAt")
    if any(instant.moment > now for instant in (created, updated) if instant):
        raise invalid("meta.createdAt and meta.updatedAt must not lie in the future")
    identifier = _identifiers(meta["identifier"]) if "identifier" in meta else None
    return Meta(created.text if created else None, updated.text if updated else None, identifier)


class _Instant:
    """A timestamp: its text, which is stored, and its moment."""

    def __init__(self, value: object, where: str) -> None:
        complaint = f"{where} must be an RFC 3339 date and time"
        self.text = matching(_INSTANT, value, complaint)
        try:
            self.moment = datetime.fromisoformat(self.text.upper())
        except ValueError:
            raise invalid(complaint) from None


def _identifiers(value: object) -> str:
    entries = array(value, "meta.identifier")
    if len({_identity(entry) for entry in entries}) != len(entries):
        raise invalid("entries of meta.identifier must differ in system, use and value")
    return encode(value)


def _identity(entry: object) -> tuple[object, ...]:
    where = "an entry of meta.identifier"
    identifier = fields(entry, where, may={"id", "system", "value", "use", "period"})
    period = fields(identifier.get("period", {}), f"the period of {where}", may={"id", "start", "end"})
    texts = [value for name, value in identifier.items() if name != "period"]
    if not all(isinstance(text, str) for text in [*texts, *period.values()]):
        raise invalid(f"{where} holds strings only")
    if identifier.get("use") == "source" or identifier.get("system") == "mdm":
        raise invalid("the use 'source' and the system 'mdm' are reserved")
    return tuple(identifier.get(name) for name in ("system", "use", "value"))
