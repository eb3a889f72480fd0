"""The emulator: a registry in a box, served on loopback for as long as it is open."""

import ipaddress
import re
import secrets
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, closing
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from aiohttp import web
from attrs import define, field
from attrs.converters import optional

from .app import ROUTE_NAMES, Api, Gate, build
from .door import Door
from .faults import Faults
from .latency import Constant, Latency, Mode, Persisted
from .registry import Registry
from .relationships import Stored
from .settings import Settings

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_SHORTEST_KEY = 32
_GRACE = 1.0
"""Seconds that requests under way get when the emulator closes."""


def _own(modes: Mapping[str, Mode]) -> dict[str, Mode]:
    return dict(modes)


@define(kw_only=True, eq=False, repr=False)
class Emulator:
    """A Clinia registry and catalog over HTTP, for tests and for trying things out.

    Open it with `async with`, or with `start()` and `close()`; what it holds in memory is gone
    when it closes. `default`, `modes` and `bulk` may be changed while it runs.
    """

    data: Path | None = field(default=None, converter=optional(Path))
    """A file that keeps everything across restarts; without it, memory."""

    _key: str | None = field(default=None, alias="key")
    host: str = "127.0.0.1"
    port: int = 0
    """0 picks a free one, which `url` tells."""

    seed: int = 0
    """Tells the ids of tasks, the latencies, and which requests the faults strike."""

    default: Mode = field(factory=Persisted)
    """How single writes are done where `modes` does not say."""

    modes: dict[str, Mode] = field(factory=dict, converter=_own)
    """How single writes are done, by relationship type."""

    bulk: Latency = field(factory=lambda: Constant(0.05))
    """How long bulks take; they are always accepted."""

    settings: Settings = field(factory=Settings)
    requests: "Counter[str]" = field(init=False, factory=Counter)
    """Requests so far by route name, refused ones included."""

    faults: Faults = field(init=False)
    _running: "_Running | None" = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        if not _is_loopback(self.host) and len(self._key or "") < _SHORTEST_KEY:
            raise ValueError(
                f"beyond loopback the emulator needs a key of {_SHORTEST_KEY} characters or more"
            )
        if self._key is not None and not re.fullmatch(r"[!-~]+", self._key):
            raise ValueError("the key must be visible ASCII characters, and not empty")
        self._key = self._key or secrets.token_urlsafe(32)
        self.faults = Faults(ROUTE_NAMES, self.seed)

    def __repr__(self) -> str:
        state = f"at {self._running.url}" if self._running else "closed"
        return f"<Emulator {state}>"

    @property
    def key(self) -> str:
        """What clients send as `X-Clinia-API-Key`; without one given, a new one for each emulator."""
        assert self._key is not None
        return self._key

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return self._open.url

    async def start(self) -> None:
        """Does nothing if the emulator is running already."""
        if self._running is None:
            self._running = await _Running.start(self)

    async def close(self) -> None:
        """Does nothing if the emulator is closed already."""
        running, self._running = self._running, None
        if running is not None:
            await running.stack.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def mode(self, type_: str) -> Mode:
        return self.modes.get(type_, self.default)

    def relationships(self, type_: str | None = None) -> int:
        """How many there are, of one type or of all."""
        return self._open.registry.count(type_)

    def stored(self) -> Iterator[Stored]:
        """Every relationship, by source, type and id."""
        return self._open.registry.stored()

    def partitions(self) -> int:
        return self._open.registry.partitions()

    @property
    def _open(self) -> "_Running":
        if self._running is None:
            raise RuntimeError("the emulator is not running")
        return self._running


@define(kw_only=True, eq=False, repr=False)
class _Running:
    """What an emulator holds between start and close."""

    url: str
    registry: Registry
    stack: AsyncExitStack

    @classmethod
    async def start(cls, emulator: Emulator) -> Self:
        async with AsyncExitStack() as stack:
            registry = Registry(emulator.data, seed=emulator.seed, settings=emulator.settings)
            stack.enter_context(closing(registry))
            listener = stack.enter_context(_listen(emulator.host, emulator.port))
            runner = _runner(emulator, registry, listener.getsockname()[1])
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.SockSite(runner, listener).start()
            return cls(url=_url(listener), registry=registry, stack=stack.pop_all())


def _runner(emulator: Emulator, registry: Registry, port: int) -> web.AppRunner:
    api = Api(
        registry=registry,
        settings=emulator.settings,
        random=Random(f"{emulator.seed}:latency"),
        mode=emulator.mode,
        bulk=lambda: emulator.bulk,
    )
    names = {*_LOOPBACK_NAMES, _bracketed(emulator.host), *emulator.settings.host_names}
    door = Door(emulator.key.encode(), frozenset(f"{name.lower()}:{port}" for name in names))
    gate = Gate(door=door, faults=emulator.faults, requests=emulator.requests)
    # Never inflates a body; aiohttp's access log would tell ids.
    return web.AppRunner(build(api, gate), access_log=None, auto_decompress=False, shutdown_timeout=_GRACE)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    if ipaddress.ip_address(address).is_unspecified:
        address = "::1" if ":" in address else "127.0.0.1"
    return f"http://{_bracketed(address)}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
