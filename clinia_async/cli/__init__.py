"""The command line, `clinia-async`.

May import everything. The library and the HTTP client are loaded when a command runs, and not for its help.
Rules about records and answers do not belong here.
"""

import sys
from collections.abc import Sequence

INSTALL = "error: the command line needs its extra: pip install 'clinia-async[cli]'"
_USAGE, _INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit code."""
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
