"""The records as a file of NDJSON, for as long as it is needed."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import workload


@contextmanager
def ndjson(count: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="clinia-async-bench-") as folder:
        path = Path(folder) / "records.ndjson"
        with path.open("w") as lines:
            for number in range(count):
                record = {"type": workload.TYPE, **workload.body(number)}
                lines.write(json.dumps(record, separators=(",", ":")) + "\n")
        yield str(path)
