"""An emulator that is killed again and again: nothing that it answered is lost, nothing is executed twice."""

import http.client
import json
import random
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

import pytest
from attrs import define, field

from tests.emulator.raw import RELATIONSHIPS, operation, write
from tests.patience import PATIENCE

KEY = "k" * 40
KILLS = 10
LATER = "later"
"""The type whose single writes are accepted; all others are stored at once."""

OPTIONS = ("--accept", f"{LATER}=0.01~1", "--bulk-latency", "0.01~1", "--inspect", "--patience", "10")
ROOT = Path(__file__).parents[2]


class Answer(NamedTuple):
    status: int
    body: Any


@define
class Server:
    """One life of the emulator, on the file and the port of the lives before it."""

    process: subprocess.Popen[bytes]
    connection: http.client.HTTPConnection

    def send(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"X-Clinia-API-Key": KEY, "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body, separators=(",", ":"))
        self.connection.request(method, path, text, headers)
        response = self.connection.getresponse()
        return Answer(response.status, json.loads(response.read()))


@contextmanager
def serving(folder: Path, port: int) -> Iterator[Server]:
    (folder / "key").write_text(KEY)
    files = ("--data", str(folder / "r.db"), "--key-file", str(folder / "key"))
    command = [sys.executable, "-m", "clinia_async", "emulator", *files, "--port", str(port), *OPTIONS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(line.strip().rpartition(":")[2]), timeout=PATIENCE
    )
    try:
        yield Server(process, connection)
    finally:
        connection.close()
        process.kill()
        process.communicate()


@define
class Writer:
    """Writes until the emulator is dead, and remembers the answers."""

    random: random.Random
    stored: dict[str, Any] = field(factory=dict)
    """Data by id, of what was answered PERSISTED."""

    bulks: dict[str, list[str]] = field(factory=dict)
    """The ids in each task that was answered ACCEPTED."""

    patches: dict[str, str] = field(factory=dict)
    """The record that each accepted task adds one entry to."""

    patchable: list[str] = field(factory=list)
    unsure: int = 0
    """Records that may be there: the emulator died before it answered."""

    def write(self, server: Server, answers: int, delay: float) -> None:
        """Write until the emulator is dead: it is killed `delay` seconds after so many answers."""
        killer = Timer(delay, server.process.kill)
        try:
            for number in count():
                if number == answers:
                    killer.start()
                self.random.choice((self._create, self._bulk, self.patch))(server)
        except (OSError, http.client.HTTPException):
            assert server.process.wait(PATIENCE) == -9
            killer.join()

    def _create(self, server: Server) -> None:
        name, data = self._name(), {"n": self.random.random()}
        self.unsure += 1
        answer = server.send("POST", f"{RELATIONSHIPS}/at-once", write(name, data=data))
        self.unsure -= 1
        assert (answer.status, answer.body["status"]) == (201, "PERSISTED")
        self.stored[f"{name}.org-9"] = data

    def _bulk(self, server: Server) -> None:
        names = [self._name() for _ in range(400)]
        operations = [operation("CREATE", name, data={"list": []}) for name in names]
        for one in operations:
            one["create"]["type"] = LATER
        self.unsure += len(names)
        answer = server.send("POST", f"{RELATIONSHIPS}/bulk", {"operations": operations})
        self.unsure -= len(names)
        assert answer.status == 202
        self.bulks[answer.body["taskId"]] = [f"{name}.org-9" for name in names]
        self.patchable += self.bulks[answer.body["taskId"]]

    def patch(self, server: Server) -> None:
        """Each record is patched once at most, so that its list shows how often it was executed."""
        if self.patchable:
            change = [{"op": "add", "path": "/list/-", "value": "once"}]
            id_ = self.patchable.pop(0)
            answer = server.send("PATCH", f"{RELATIONSHIPS}/{LATER}/{id_}", change)
            assert answer.status == 202
            self.patches[answer.body["taskId"]] = id_

    def _name(self) -> str:
        return f"p-{self.random.getrandbits(64):x}"


def finished(server: Server, task_id: str) -> list[Any]:
    """The receipts of a task, which may take its time."""
    for _ in range(500):
        answer = server.send("GET", f"/sources/ehr/v1/tasks/{task_id}?withReceipts=true")
        assert answer.status == 200, "a task that was accepted is not known"
        if answer.body["status"] != "PENDING":
            return list(answer.body["receipts"])
        time.sleep(0.01)
    raise AssertionError("a task never ended")


def everything(server: Server) -> Iterator[tuple[str, Any]]:
    """Id and data of every relationship."""
    question = {"collectionKeys": ["at-once", LATER], "params": {"perPage": 1000}}
    while hits := (page := server.send("POST", "/sources/ehr/v1/browse", question).body)["hits"]:
        yield from ((hit["relationship"]["id"], hit["relationship"]["data"]) for hit in hits)
        question["params"] = {"perPage": 1000, "cursor": page["meta"]["cursor"]}


def check(server: Server, writer: Writer) -> None:
    for task_id in writer.bulks:
        assert {receipt["status"] for receipt in finished(server, task_id)} == {"SUCCESS"}
    writer.patch(server)  # of a record that is there
    assert finished(server, [*writer.patches][-1])[0]["status"] == "SUCCESS"
    # A patch of a record whose bulk had yet to be done was cancelled, as it had to be.
    patched = {id_: finished(server, task_id)[0]["status"] for task_id, id_ in writer.patches.items()}
    there = dict(everything(server))
    assert all(there[id_] == data for id_, data in writer.stored.items())
    for id_ in (id_ for ids in writer.bulks.values() for id_ in ids):
        assert (
            there[id_]["list"]
            in {
                "SUCCESS": [["once"]],
                "CANCELLED": [[]],
                None: [[], ["once"]],
            }[patched.get(id_)]
        )


@pytest.mark.campaign
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_at_any_instant_it_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    writer, port, sent = Writer(random.Random()), 0, 0
    for life in range(KILLS):
        chance = writer.random = random.Random(life)  # its first writes are the same however fast it is
        with serving(tmp_path, port) as server:
            port = server.connection.port
            answers = chance.randrange(9, 40)
            writer.write(server, answers, chance.uniform(0.0, 0.02))
            sent += answers
    with serving(tmp_path, port) as server:
        check(server, writer)
        counts = server.send("GET", "/emulator").body
        sure = len(writer.stored) + sum(map(len, writer.bulks.values()))
        assert sure <= counts["relationships"] <= sure + writer.unsure
        assert counts["duplicateCreates"] == 0
        assert len(writer.stored) + len(writer.bulks) + len(writer.patches) >= sent - KILLS
        assert min(len(writer.stored), len(writer.bulks)) > KILLS, "of the first writes alone"
        assert stat.S_IMODE((tmp_path / "r.db").stat().st_mode) == 0o600
