"""Tests of a service that uses this library: an emulator for sync and async tests, and pytest fixtures.

May import the emulator and the session. Nothing of the library may import it, and pytest is imported in
`plugin` alone. Names are loaded when they are first used, because every pytest run loads the plugin.
"""

from clinia_async.models.lazy_loading import home_of, load

_HOME_OF = home_of({"server": "EmulatorServer"})

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  the table above is the one list of the public names


def __getattr__(name: str) -> object:
    return load(__name__, _HOME_OF, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
