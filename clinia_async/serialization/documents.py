"""JSON that somebody wrote, as values: the codec that values use to read and write themselves."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, TypeVar, cast

from clinia_async import models
from clinia_async.errors import DecodeError, InvalidWrite
from clinia_async.models.value import Json, JsonDocument, register_codec
from clinia_async.serialization import converter, strict_json
from clinia_async.serialization.exact_json import RawJson

T = TypeVar("T")


class _Codec:
    """What values use to read and write JSON."""

    def refuse(self, path: str, rule: str) -> NoReturn:
        """Raise `InvalidWrite`."""
        raise InvalidWrite(path, rule)

    def from_object(self, kind: type[T], value: Json, path: str, *, keep_unknown: bool = False) -> T:
        """Make a value of a dict. Raises `InvalidWrite`."""
        try:
            return converter.structure(_plain(value), kind, keep_unknown=keep_unknown)
        except DecodeError as error:
            where, expected = error.path.replace("$", path, 1), error.expected
        except RecursionError:
            where, expected = path, "less nesting"
        raise InvalidWrite(where, f"must be {expected}")

    def from_json(self, kind: type[T], document: JsonDocument, *, keep_unknown: bool = False) -> T:
        return self.from_object(kind, read_document(document), "$", keep_unknown=keep_unknown)

    def to_object(self, value: object) -> dict[str, object]:
        return cast("dict[str, object]", converter.to_json_values(value))

    def to_json(self, value: object) -> str:
        return converter.encode(value).decode()


register_codec(_Codec())


def read_document(document: object) -> Json:
    """Parse a JSON object strictly, from text or from the file at a path; a mapping is returned as it is.

    Raises:
        InvalidWrite: it is not one strict JSON object, or the file cannot be read.
    """
    if isinstance(document, Mapping):
        return document
    if isinstance(document, RawJson):
        document = document.text
    if not isinstance(document, str | bytes | os.PathLike):
        raise InvalidWrite("$", "must be an object, JSON text, or the path of a file")
    try:
        text = _text_of(document)
        value = strict_json.loads_strictly(text)
    except DecodeError as error:
        rule = f"must be {error.expected}"
    except (OSError, ValueError) as error:  # such as a NUL in a path
        rule = f"must be JSON text or the path of a file that can be read ({type(error).__name__})"
    else:
        if type(value) is dict:
            return value
        rule = "must be an object"
    raise InvalidWrite("$", rule)


def read_fields(document: object) -> dict[str, object]:
    """Parse a JSON object as `read_document` does, but leave objects in text as they are, in their own bytes.

    Raises:
        InvalidWrite: it is not one strict JSON object, or the file cannot be read.
    """
    if isinstance(document, Mapping):
        return dict(document)
    parsed = read_document(document)
    raw = strict_json.fields(_text_of(document).decode())  # type: ignore[arg-type]  # it is a document
    return {name: raw[name][1] if type(value) is dict else value for name, value in parsed.items()}


def _text_of(document: str | bytes | os.PathLike[str]) -> bytes:
    if isinstance(document, bytes):
        return document
    if isinstance(document, str) and (not document.strip() or document.lstrip()[0] in '{["'):
        return document.encode(errors="surrogatepass")
    return Path(document).read_bytes()


def _plain(value: object) -> object:
    """Return mappings and tuples in JSON as the dicts and lists that hooks read."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, models.Value):
        return converter.to_json_values(value)
    return value
