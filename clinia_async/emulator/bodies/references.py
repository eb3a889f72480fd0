"""`@rootId` and `@rootId` with a number: tokens for ids that the registry makes later."""

import re
from collections.abc import Callable, Mapping

TOKEN = re.compile(r"@rootId\d*", re.ASCII)
ROOT = "@rootId"

Tokens = Mapping[str, str]
"""The id behind each token."""

Properties = Mapping[str, object]
"""Property definitions of a profile, by name."""


def replaced(value: object, tokens: Tokens, properties: Properties | None) -> object:
    """Return data with its references resolved.

    With a profile, these are in every property of the type `reference`. Without one, every string that
    is a token, and nothing but a token, is taken for a reference.
    """
    if not tokens:
        return value
    if properties is None:
        return _walk(value, lambda text: tokens.get(text, text))
    if not isinstance(value, dict):
        return value
    return {name: _resolved(inner, tokens, properties.get(name)) for name, inner in value.items()}


def _resolved(value: object, tokens: Tokens, definition: object) -> object:
    match definition:
        case {"type": "reference"}:
            return _walk(value, lambda text: TOKEN.sub(lambda found: tokens.get(found[0], found[0]), text))
        case {"type": "array", "items": items} if isinstance(value, list):
            return [_resolved(inner, tokens, items) for inner in value]
        case {"type": "object", "properties": dict(properties)}:
            return replaced(value, tokens, properties)
        case _:
            return value


def _walk(value: object, change: Callable[[str], str]) -> object:
    match value:
        case str():
            return change(value)
        case list():
            return [_walk(inner, change) for inner in value]
        case dict():
            return {name: _walk(inner, change) for name, inner in value.items()}
        case _:
            return value
