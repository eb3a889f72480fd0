"""The command line, `clinia-async`.

May import everything. The library and the HTTP client are loaded when a command runs, and not for its help.
Rules about records and answers do not belong here.
"""

import codecs
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

INSTALL = "error: the command line needs its extra: pip install 'clinia-async[cli]'"
_USAGE, _INTERRUPTED = 2, 130
_LAST_OF_STANDARD = 2
_AS_IN_JSON = "clinia_async.as_in_json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit code."""
    if arguments is None:  # it is the program, and nobody else's hook is replaced
        sys.excepthook = _report_fault
    _open_closed_streams()
    _escape_what_cannot_be_shown()
    try:
        from clinia_async.cli.lazy_group import run  # noqa: PLC0415  click is an extra
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(INSTALL, file=sys.stderr)  # noqa: T201  there is no click to say it with
        return _USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED
    return run(arguments)


def _report_fault(_: type[BaseException], error: BaseException, __: object) -> None:
    """Print what is a fault of this program: not its text, which may quote a record or a key."""
    from clinia_async.models.secret import trace_without_text  # noqa: PLC0415  for a fault alone

    print(f"Traceback, without its text:\n{trace_without_text(error)}", file=sys.stderr)  # noqa: T201


def _escape_what_cannot_be_shown() -> None:
    """Write letters that the encoding of the terminal does not have as JSON does, as `\\u2620`.

    Python's own escapes, as `\\U0001f600`, are no JSON, which some commands print.
    """
    codecs.register_error(_AS_IN_JSON, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors=_AS_IN_JSON)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    import json  # noqa: PLC0415  hardly ever needed

    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _open_closed_streams() -> None:
    """Let what is written to a standard stream that is closed (`2>&-`) go nowhere.

    Python has no stream for it then, and gives its number to the next file or socket that is opened, which a
    child process would write its own errors to.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST_OF_STANDARD:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  for as long as it runs
