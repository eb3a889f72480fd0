"""Errors: the envelope of the API's errors page, and those of the emulator itself."""

CODES = {
    "ALREADY_EXISTS": 409,
    "CONTENT_TOO_LARGE": 413,
    "FAILED_PRECONDITION": 400,
    "INTERNAL": 500,
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "OUT_OF_RANGE": 400,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 401,
    "UNIMPLEMENTED": 501,
}
"""The HTTP status of each documented `type`. No page maps them, so this is our reading."""


class ApiError(Exception):
    """A refusal, as an HTTP answer or in a receipt.

    The message names fields and rules and never quotes a value: values are health data.
    `kind` is the envelope's `type`; without one the answer plays a gateway in front of the
    API, which knows none of the documented types.
    """

    def __init__(self, kind: str | None, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.code = code if code is not None else CODES.get(kind or "INTERNAL", 400)

    def envelope(self) -> dict[str, object]:
        envelope: dict[str, object] = {"code": self.code, "message": self.message}
        if self.kind is not None:
            envelope["type"] = self.kind
        return envelope | {"details": []}


class DataFileError(OSError):
    """The data file of an emulator cannot be used."""


class DataFileBusy(DataFileError):
    """The data file of an emulator is locked by another process."""


def invalid(message: str) -> ApiError:
    return ApiError("INVALID_ARGUMENT", message)


def refused(answer: tuple[str, int], message: str) -> ApiError:
    """As a setting says it: error type and HTTP status."""
    kind, code = answer
    return ApiError(kind, message, code=code)


def absent(thing: str) -> ApiError:
    return ApiError("NOT_FOUND", f"no such {thing}")
