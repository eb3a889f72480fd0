"""Tests of a service that uses this library: an emulator for sync and async tests, and pytest fixtures.

May import the emulator and the session. Nothing of the library may import it, and pytest is imported in
`plugin` alone. Names are loaded when they are first used, because every pytest run loads the plugin.
"""

from clinia_async.models.lazy_loading import lazy_names

__all__, __getattr__, __dir__ = lazy_names(__name__, {"server": "EmulatorServer"})
