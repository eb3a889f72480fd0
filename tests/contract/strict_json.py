"""JSON as RFC 8259 has it: UTF-8, no key twice, no NaN."""

import json
from typing import Any, NoReturn


class NotJson(ValueError):
    """Says which rule was broken, and never by what."""


def decode(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), object_pairs_hook=_members, parse_constant=_constant)
    except NotJson:
        raise
    except UnicodeDecodeError:
        raise NotJson("not UTF-8") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except ValueError:
        raise NotJson("not JSON") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotJson("duplicate key")
    return members


def _constant(_: str) -> NoReturn:
    raise NotJson("not JSON")
