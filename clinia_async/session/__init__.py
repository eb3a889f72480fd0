"""`Session`: every call of the API as a method, over one transport and one poller.

May import everything below; not ingest. Rules about one call belong to calls, about HTTP to transport.
"""

from importlib import import_module

# First, and from here: the imports of aiohttp nest deeply. Begun from as deep as our own go, they cross the
# end of a chunk of CPython's stack again and again, which maps and unmaps memory each time.
import_module("clinia_async.transport.http_transport")
