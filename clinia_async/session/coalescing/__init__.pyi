__all__: list[str]

from clinia_async.session.coalescing.bulk_member import KeyedWrite as KeyedWrite
from clinia_async.session.coalescing.bulk_member import Record as Record
from clinia_async.session.coalescing.bulk_member import SharedBulk as SharedBulk
from clinia_async.session.coalescing.coalescer import Coalescer as Coalescer
from clinia_async.session.coalescing.coalescer import Service as Service
