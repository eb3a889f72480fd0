"""The emulator: a registry in a box, served on loopback for as long as it is open."""

import asyncio
import errno
import ipaddress
import re
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from random import Random
from threading import get_ident
from types import TracebackType
from typing import ClassVar, Literal, NoReturn, Self, TypeVar

from aiohttp import web
from attrs import Attribute, define, field
from attrs.converters import optional

from clinia_async.emulator.access import AccessPolicy
from clinia_async.emulator.app import App
from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE
from clinia_async.emulator.chaos import Faults, chaos, known_route
from clinia_async.emulator.dialect import Dialect
from clinia_async.emulator.errors import DataFileBusy
from clinia_async.emulator.exchange import Listener, Received
from clinia_async.emulator.handlers.catalog import CatalogApi
from clinia_async.emulator.handlers.records import RelationshipsApi, ResourcesApi
from clinia_async.emulator.handlers.sources import SourceApi
from clinia_async.emulator.handlers.submissions import Submissions
from clinia_async.emulator.inspection import COUNTS_PATH, Inspection, Page
from clinia_async.emulator.latency import Constant, Latency, Mode, Persisted, check_latency, is_mode
from clinia_async.emulator.routes import Api, Router
from clinia_async.emulator.script import Script
from clinia_async.emulator.server import Server, close_server
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.records import Stored
from clinia_async.emulator.store.registry import Registry
from clinia_async.emulator.validators import InstanceOf, Number, OneOf, Text

_T = TypeVar("_T")
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_SHORTEST_KEY = 32
_PAUSE = 0.02
"""Seconds between two tries to get a port or a file."""

_GRACE = 1.0
"""Seconds that requests under way get when the emulator closes."""


Window = Literal["off", "counts", "contents"]


def _own(modes: Mapping[str, Mode]) -> dict[str, Mode]:
    if not isinstance(modes, Mapping):
        raise ValueError(  # noqa: TRY004  a wrong value, as others
            "modes must be a mapping of types to modes, such as {'treats': Accepted()}"
        )
    return dict(modes)


def _are_modes(_: object, attribute: "Attribute[dict[str, Mode]]", modes: dict[str, Mode]) -> None:
    for type_, mode in modes.items():
        Text().check(f"a type in {attribute.name}", type_)
        is_mode(None, attribute, mode)


def _refuse(_: object, attribute: "Attribute[_T]", __: object) -> NoReturn:
    raise AttributeError(
        f"{attribute.name} is decided when an emulator is made: Emulator({attribute.name}=...)"
    )


@define(kw_only=True, eq=False, repr=False)
class Emulator:
    """A Clinia registry and catalog over HTTP, for tests and for trying things out.

    Open it with `async with`, or with `start()` and `close()`; what it holds in memory is gone
    when it closes. `default`, `modes`, `bulk`, `bundle` and `purge` may be changed while it runs.
    """

    listeners: ClassVar[list[Listener]] = []
    """Called with every exchange of every emulator that is answered in full, right before the
    answer is sent. If one raises, the error is logged and the client gets no answer."""

    default_dialect: ClassVar[Dialect] = "documented"
    """The dialect of emulators that are given none, so that a whole test run can use another one."""

    data: Path | None = field(default=None, converter=optional(Path), on_setattr=_refuse)
    """A file that keeps everything across restarts; without it, memory."""

    _key: str | None = field(default=None, alias="key", validator=InstanceOf(str, optional=True))
    host: str = field(default="127.0.0.1", validator=InstanceOf(str), on_setattr=_refuse)
    port: int = field(default=0, validator=Number(least=0, most=65535, whole=True), on_setattr=_refuse)
    """0 picks a free one, which `url` shows."""

    seed: int = field(default=0, validator=Number(whole=True), on_setattr=_refuse)
    """Decides the ids that the registry makes, the latencies, and which requests meet the faults."""

    default: Mode = field(factory=Persisted, validator=is_mode)
    """How single writes of types that are not in `modes` are executed."""

    modes: dict[str, Mode] = field(factory=dict, converter=_own, validator=_are_modes)
    """How single writes are executed, by type of relationship or resource."""

    bulk: Latency = field(factory=lambda: Constant(0.05), validator=check_latency)
    """How long bulks take; they are always accepted."""

    bundle: Mode = field(factory=Persisted, validator=is_mode)
    """How bundles are executed. The guide says at once, the reference page allows both."""

    purge: Latency = field(factory=lambda: Constant(0.05), validator=check_latency)
    """How long purges take; they are always accepted."""

    chaos: int | None = field(default=None, validator=Number(whole=True, optional=True), on_setattr=_refuse)
    """A seed of its own for the faults, and faults of every kind on every route to begin with, each
    seldom; it opens the inspection, too. After a restart the same seed plays the same faults again."""

    dialect: Dialect = field(
        factory=lambda: Emulator.default_dialect, validator=OneOf(Dialect), on_setattr=_refuse
    )
    """How answers are written: as the pages show them, or as a service in Go writes them, with null for
    every list that is empty and every field that is absent."""

    recording: bool = field(default=False, validator=InstanceOf(bool), on_setattr=_refuse)
    """Whether `received` keeps every request, its body included."""

    inspection: bool = field(default=False, validator=InstanceOf(bool), on_setattr=_refuse)
    """Whether `GET /emulator`, with the key, answers with counts: for an emulator in another process."""

    window: Window = field(default="off", validator=OneOf(Window), on_setattr=_refuse)
    """Whether a browser can open `window_url`, a page that shows live what the emulator holds: counts,
    requests, partitions, and the latest tasks with their receipts; with `contents`, the data of the latest
    records, too. Anybody who knows the address can open it."""

    patience: float = field(default=0.0, validator=Number(least=0), on_setattr=_refuse)
    """Seconds that `start()` keeps trying while another process still has the port or the file."""

    settings: Settings = field(factory=Settings, validator=InstanceOf(Settings), on_setattr=_refuse)
    requests: "Counter[str]" = field(init=False, factory=Counter)
    """Requests so far by route name, refused ones included."""

    faults: Faults = field(init=False)
    window_token: str = field(init=False, repr=False, factory=lambda: secrets.token_urlsafe(24))
    received: list[Received] = field(init=False, factory=list)
    """With `recording`, the requests so far, refused ones and those whose answer was lost included."""

    _running: "_Running | None" = field(init=False, default=None)
    _initial: tuple[Mode, dict[str, Mode], Latency, Mode, Latency] = field(init=False)

    def __attrs_post_init__(self) -> None:
        if not _is_loopback(self.host) and len(self._key or "") < _SHORTEST_KEY:
            raise ValueError(
                f"beyond loopback the emulator needs a key of {_SHORTEST_KEY} characters or more"
            )
        if self._key is not None and not re.fullmatch(r"[!-~]+", self._key):
            raise ValueError("the key must be visible ASCII characters, and not empty")
        self._key = self._key or secrets.token_urlsafe(32)
        if self.chaos is None:
            self.faults = Faults(self.seed)
        else:
            self.faults = Faults(self.chaos, chaos())
        self._initial = (self.default, dict(self.modes), self.bulk, self.bundle, self.purge)

    def __repr__(self) -> str:
        state = f"at {self._running.url}" if self._running else "closed"
        return f"<Emulator {state}>"

    @property
    def key(self) -> str:
        """The key that clients send as `X-Clinia-API-Key`; without one given, a new one for each emulator."""
        assert self._key is not None
        return self._key

    @property
    def window_url(self) -> str:
        """The address of the window for a browser, which holds a secret of its own.

        Raises:
            RuntimeError: the emulator is not running, or has no window.
        """
        if self.window == "off":
            raise RuntimeError("the emulator has no window: it was made without one")
        return f"{self.url}/window/{self.window_token}"

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return self._served.url

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

    def on(self, route: str) -> Script:
        """Script the next requests of a route: `emulator.on("create_relationship").lose_reply()`.

        Raises:
            ValueError: there is no such route.
        """
        return Script(self.faults, known_route(route))

    def reset(self) -> None:
        """Delete all data, and forget faults, scripts, counts and recorded requests.

        Modes, latencies and chaos are again as the emulator was made. Afterwards it makes the same ids
        and plays the same faults again; a data file is emptied, too.
        """
        self._open.reset()
        self.faults.reset()
        self.requests.clear()
        self.received.clear()
        self.default, modes, self.bulk, self.bundle, self.purge = self._initial
        self.modes = dict(modes)

    def mode(self, type_: str) -> Mode:
        return self.modes.get(type_, self.default)

    def relationships(self, type_: str | None = None) -> int:
        """Return how many there are, of one type or of all."""
        return self._open.registry.count(RELATIONSHIP, type_)

    def resources(self, type_: str | None = None) -> int:
        """Return how many there are, of one type or of all."""
        return self._open.registry.count(RESOURCE, type_)

    def stored(self) -> Iterator[Stored]:
        """Every relationship, by source, type and id."""
        return self._open.registry.stored(RELATIONSHIP)

    def stored_resources(self) -> Iterator[Stored]:
        """Every resource, by source, type and id."""
        return self._open.registry.stored(RESOURCE)

    def partitions(self) -> int:
        return self._open.registry.catalog.partitions.count()

    def approve(self, task_id: str) -> None:
        """Approve all operations of a task that are in review: they are executed now.

        Raises:
            LookupError: no operation of such a task is in review."""
        self._open.registry.decide(task_id, approved=True)

    def reject(self, task_id: str) -> None:
        """Reject all operations of a task that are in review: it ends in SUCCESS, and nothing is stored.

        Raises:
            LookupError: no operation of such a task is in review."""
        self._open.registry.decide(task_id, approved=False)

    @property
    def duplicate_creates(self) -> int:
        """How many creates, sent or executed again, were refused with ALREADY_EXISTS although the record
        already held the very same content. Stored with the data."""
        return self._open.registry.duplicate_creates()

    @property
    def _open(self) -> "_Running":
        """What it holds, for the thread that serves it alone."""
        running = self._served
        if running.thread != get_ident():
            raise RuntimeError(
                "the emulator is served by another thread: ask its server, as in"
                " server.call(Emulator.relationships)"
            )
        return running

    @property
    def _served(self) -> "_Running":
        if self._running is None:
            raise RuntimeError("the emulator is not running")
        return self._running


@define(kw_only=True, eq=False, repr=False)
class _Running:
    """The state of an emulator between start and close."""

    url: str
    thread: int = field(factory=get_ident)
    registry: Registry
    app: App
    stack: AsyncExitStack

    def reset(self) -> None:
        self.app.cancel_late_executions()
        self.registry.reset()

    @classmethod
    async def start(cls, emulator: Emulator) -> Self:
        async with AsyncExitStack() as stack:
            registry = await _retry_until_free(partial(_registry, emulator), emulator.patience)
            stack.enter_context(closing(registry))
            listener = await _retry_until_free(
                partial(_listen, emulator.host, emulator.port), emulator.patience
            )
            stack.enter_context(listener)
            app = _app(emulator, registry, listener.getsockname()[1])
            stack.callback(app.cancel_late_executions)
            runner = web.ServerRunner(Server(app.serve, emulator.settings), shutdown_timeout=_GRACE)
            stack.push_async_callback(close_server, runner, listener)
            await runner.setup()
            await web.SockSite(runner, listener).start()
            return cls(url=_url(listener), registry=registry, app=app, stack=stack.pop_all())


def _registry(emulator: Emulator) -> Registry:
    return Registry(
        emulator.data,
        seed=emulator.seed,
        settings=emulator.settings,
        reads_lag=lambda: emulator.faults.has_stale_reads,
    )


def _app(emulator: Emulator, registry: Registry, port: int) -> App:
    names = {*_LOOPBACK_NAMES, _bracketed(emulator.host), *emulator.settings.host_names}
    access = AccessPolicy(emulator.key.encode(), frozenset(f"{name.lower()}:{port}" for name in names))
    inspection = Inspection(
        access=access, registry=registry, faults=emulator.faults, requests=emulator.requests
    )
    return App(
        access=access,
        router=Router(_api(emulator, registry)),
        own_pages=_own_pages(emulator, inspection),
        settings=emulator.settings,
        dialect=emulator.dialect,
        faults=emulator.faults,
        listeners=Emulator.listeners,
        requests=emulator.requests,
        received=emulator.received if emulator.recording else None,
    )


def _own_pages(emulator: Emulator, inspection: Inspection) -> dict[str, Page]:
    pages: dict[str, Page] = {}
    if emulator.inspection or emulator.chaos is not None:
        pages[COUNTS_PATH] = inspection.counts
    if emulator.window != "off":
        contents = emulator.window == "contents"
        pages |= inspection.window(emulator.window_token, contents=contents)
    return pages


def _api(emulator: Emulator, registry: Registry) -> Api:
    settings, random = emulator.settings, Random(f"{emulator.seed}:latency")
    submissions = Submissions(registry=registry, settings=settings, modes=emulator, random=random)
    return Api(
        relationships=RelationshipsApi(registry=registry, settings=settings, submissions=submissions),
        resources=ResourcesApi(registry=registry, settings=settings, submissions=submissions),
        source=SourceApi(registry=registry, settings=settings, submissions=submissions),
        catalog=CatalogApi(registry=registry, settings=settings),
    )


async def _retry_until_free(take: Callable[[], _T], patience: float) -> _T:
    """Return what `take` returns. A port in use or a locked file is tried again for `patience` seconds."""
    now = asyncio.get_running_loop().time
    end = now() + patience
    while True:
        try:
            return take()
        except OSError as error:
            is_taken = isinstance(error, DataFileBusy) or error.errno == errno.EADDRINUSE
            if not is_taken or now() >= end:
                raise
        await asyncio.sleep(_PAUSE)


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
