"""Whether a service can be reached, and what it is: by the connections and the credentials of a session."""

from clinia_async.calls import Host, Request
from clinia_async.session.session import Session
from clinia_async.transport.http_transport import Probed

__all__ = ["Probed", "connect", "origin_of", "probe"]


def origin_of(session: Session, host: Host) -> str:
    """Return where a host of the session is."""
    addresses = session._engine.addresses
    return addresses.registry if host is Host.REGISTRY else addresses.catalog


async def connect(session: Session, *, within: float, host: Host = Host.REGISTRY) -> None:
    """Open a connection, and keep it for the first request.

    Raises:
        RequestError: there is none after `within` seconds; its text is the reason alone.
    """
    await session._engine.open().transport.connect(host, within)


async def probe(session: Session, request: Request, *, within: float) -> Probed:
    """Send a request once, and return whatever comes back.

    Raises:
        RequestError: no HTTP came back within `within` seconds; its text is the reason alone.
    """
    return await session._engine.open().transport.probe(request, within)
