"""Checks before a job starts: that its source is a key, and that the host of the service can be reached."""

import asyncio

from clinia_async.calls.validation import check_key
from clinia_async.errors import ConfigError, InvalidWrite, RequestError, RequestTimeout, reason_of
from clinia_async.ingest.senders.retrying_session import NetworkGivenUp
from clinia_async.session.reachability import connect
from clinia_async.session.session import Session

_ATTEMPTS, _TIMEOUT, _PAUSE = 3, 3.0, 0.5


def check_source(source: str) -> None:
    """Raise `ConfigError` if `source` cannot be the key of a source."""
    try:
        check_key(source, "$.source")
    except InvalidWrite as error:
        rule = error.rule
    else:
        return
    raise ConfigError(f"--source: {rule}")


async def check_reachable(session: Session) -> None:
    """Connect to the registry as requests will: by the proxy and with the certificates of the session.

    Raises `NetworkGivenUp` with the host and the reason in words after three attempts.
    """
    reason = advice = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            await asyncio.sleep(_PAUSE)
        try:
            return await connect(session, within=_TIMEOUT)
        except RequestTimeout as error:
            reason, advice = f"{reason_of(error)} ({_ATTEMPTS} attempts of {_TIMEOUT:.0f} s)", error.advice
        except RequestError as error:
            reason, advice = reason_of(error), error.advice
            if not error.is_transient:
                break
    given_up = NetworkGivenUp(f"{reason}; nothing was sent")
    given_up.advice = advice
    raise given_up
