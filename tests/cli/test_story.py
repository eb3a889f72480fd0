"""One whole story: load a Parquet file, press Ctrl-C, resume, read the report, mend and retry what failed."""

import html
import json
import re
import signal
import threading
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attrs import field, frozen

from clinia_async.cli.runs.ingest import STOPPING
from clinia_async.emulator import Constant
from clinia_async.emulator.exchange import Reply
from clinia_async.emulator.faults import Attempt, Fault
from tests.cli.conftest import lead_to
from tests.cli.program import Cli, ended, read_line, start
from tests.cli.served import Served
from tests.patience import PATIENCE

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

COLUMNS = "type==practises-at,from.id=npi,from.type==practitioner,to.id=org,to.type==organization"
ROWS, WRONG = 1000, (250, 500)


@frozen(kw_only=True, eq=False)
class ThirdIsHeld(Fault):
    """Requests of the route are carried out; the third not before it is released, and the emulator waits."""

    executed: bool = field(default=True, init=False)
    count: Counter[str] = field(factory=Counter)
    arrived: threading.Event = field(factory=threading.Event)
    release: threading.Event = field(factory=threading.Event)

    def play(self, attempt: Attempt) -> Reply | None:
        self.count["requests"] += 1
        if self.count["requests"] == 3:
            self.arrived.set()
            self.release.wait(PATIENCE)
        return attempt.execute(attempt.request, None)


def _table() -> Path:
    path = Path("practitioners.parquet")
    npi = [None if row in WRONG else f"prac-{row}" for row in range(ROWS)]
    pq.write_table(pa.table({"npi": npi, "org": [f"org-{row % 7}" for row in range(ROWS)]}), path)
    return path


def test_load_interrupt_resume_report_mend_retry(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("ingest", _table(), "--columns", COLUMNS, "--journal", "load.db", "--report", "load.html")
    with Served(bulk=Constant(0.05)) as served:
        lead_to(served, monkeypatch)
        third = ThirdIsHeld(route="bulk_relationships")
        served.emulator.faults.add(third)
        process = start(*command, "--chunk-operations", "50", "--workers", "1", "--json")
        assert third.arrived.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        assert read_line(process) == f"{STOPPING}\n"
        third.release.set()
        first = ended(process)
        assert (first.code, first.json["stopped_by"]) == (130, "asked to stop")
        assert (first.json["sent"], first.json["landed"]) == (150, 150)  # what was in flight was completed
        assert "Stopped before the end of the input: asked to stop." in Path("load.html").read_text()

        again = cli(*command, "--json")
        assert (again.code, again.json["landed"]) == (1, ROWS - len(WRONG))
        assert again.json["reported_before"] >= first.json["landed"]
        assert served.holds() == ROWS - len(WRONG)

        page = html.unescape(Path("load.html").read_text())
        (reason,) = re.findall(r"<td>(\$\.from\.id[^<]*)</td><td[^>]*>2</td><td>([^<]*)</td>", page)
        assert reason == ("$.from.id (column npi): is required", "251, 501")

        letters = [json.loads(text) for text in Path("practitioners.dead.ndjson").read_text().splitlines()]
        assert [letter["deadLetter"]["line"] for letter in letters] == [251, 501]
        for number, letter in enumerate(letters):
            text = letter["deadLetter"]["text"]
            letter["deadLetter"]["text"] = text.replace("null", f'"mended-{number}"', 1)
        lines = [json.dumps(letter, separators=(",", ":")) + "\n" for letter in letters]
        Path("practitioners.dead.ndjson").write_text("".join(lines))
        retried = cli("retry", "practitioners.dead.ndjson", "--columns", COLUMNS, "--json")
        assert (retried.code, retried.json["landed"], served.holds()) == (0, 2, ROWS)
