__all__: list[str]

from clinia_async.transport.adaptive_limit import AdaptiveLimit as AdaptiveLimit
from clinia_async.transport.adaptive_limit import ConcurrencyLimits as ConcurrencyLimits
from clinia_async.transport.http_transport import HttpSession as HttpSession
from clinia_async.transport.http_transport import Transport as Transport
from clinia_async.transport.http_transport import TransportOptions as TransportOptions
from clinia_async.transport.http_transport import Wire as Wire
from clinia_async.transport.shared_limit import SharedLimit as SharedLimit
