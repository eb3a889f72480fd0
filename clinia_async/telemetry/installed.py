"""Whether OpenTelemetry is installed and in use. The extra is loaded here alone, and only then."""

import sys

from clinia_async.errors import ConfigError
from clinia_async.telemetry.dispatch import Tracer


def open_telemetry(wanted: bool | None) -> Tracer | None:
    """Return the maker of spans: None means that there is one where the program has set a provider.

    Raises:
        ConfigError: it is wanted and not installed.
    """
    if wanted is False or (wanted is None and "opentelemetry.trace" not in sys.modules):
        return None
    try:
        from clinia_async.telemetry.otel import OpenTelemetryTracer, has_provider  # noqa: PLC0415  an extra
    except ImportError:
        pass  # raised below, if it is wanted
    else:
        return OpenTelemetryTracer() if wanted or has_provider() else None
    if wanted:
        raise ConfigError("OpenTelemetry is not installed: pip install 'clinia-async[otel]'")
    return None
