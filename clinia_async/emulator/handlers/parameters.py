"""What a request says outside its body: parts of the path and of the query."""

from urllib.parse import unquote

from aiohttp import web

from clinia_async.emulator.bodies.shapes import integer, key
from clinia_async.emulator.errors import invalid

_DEFAULT_PAGE, _LARGEST_PAGE = 20, 1000


def path_key(request: web.Request, part: str) -> str:
    return key(request.match_info[part], f"the path's {part}")


def path_parts(request: web.Request, start: int) -> list[str]:
    """The decoded parts of the path from one on; a slash inside a part stays inside it."""
    return [unquote(part) for part in request.rel_url.raw_parts[start:]]


def flag(request: web.Request, name: str) -> bool:
    match request.query.getall(name, ["false"]):
        case ["true"]:
            return True
        case ["false"]:
            return False
        case _:
            raise invalid(f"{name} must be true or false, once")


def paged(request: web.Request, items: list[dict[str, object]]) -> dict[str, object]:
    """The page that is asked for, counted from 0, and how many there are."""
    page, size = _number(request, "page", 0), _number(request, "perPage", _DEFAULT_PAGE)
    if not (page >= 0 and 1 <= size <= _LARGEST_PAGE):
        raise invalid(f"page must not be negative, and perPage between 1 and {_LARGEST_PAGE}")
    meta = {"numPages": -(-len(items) // size), "page": page, "perPage": size, "total": len(items)}
    return {"meta": meta, "data": items[page * size : (page + 1) * size]}


def _number(request: web.Request, name: str, default: int) -> int:
    match request.query.getall(name, []):
        case []:
            return default
        case [text]:
            return integer(text, name)
        case _:
            raise invalid(f"{name} must be given once")
