"""A log that tells of bugs, but nothing of what a request said."""

import logging

from aiohttp.http_exceptions import HttpProcessingError

LOGGER = logging.getLogger(__name__)


def _redact(record: logging.LogRecord) -> bool:
    """The server quotes what it could not read, and that may be anything."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args, record.exc_info = "a request was not HTTP as it should be", (), None
    return True


LOGGER.addFilter(_redact)
