"""The parameters of a request outside its body: keys in the path, and the query."""

from clinia_async.emulator.bodies.shapes import integer, key
from clinia_async.emulator.errors import invalid
from clinia_async.emulator.exchange import Request

_DEFAULT_PAGE, _LARGEST_PAGE = 20, 1000


def path_key(request: Request, part: str) -> str:
    return key(request.path[part], f"the path's {part}")


def flag(request: Request, name: str) -> bool:
    match request.http.query.getall(name, ["false"]):
        case ["true"]:
            return True
        case ["false"]:
            return False
        case _:
            raise invalid(f"{name} must be true or false, once")


def paged(request: Request, items: list[dict[str, object]]) -> dict[str, object]:
    """Return the page that the query asks for, counted from 0, and how many there are."""
    page, size = _number(request, "page", 0), _number(request, "perPage", _DEFAULT_PAGE)
    if not (page >= 0 and 1 <= size <= _LARGEST_PAGE):
        raise invalid(f"page must not be negative, and perPage between 1 and {_LARGEST_PAGE}")
    meta = {"numPages": -(-len(items) // size), "page": page, "perPage": size, "total": len(items)}
    return {"meta": meta, "data": items[page * size : (page + 1) * size]}


def _number(request: Request, name: str, default: int) -> int:
    match request.http.query.getall(name, []):
        case []:
            return default
        case [text]:
            return integer(text, name)
        case _:
            raise invalid(f"{name} must be given once")
