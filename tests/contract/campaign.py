"""Requests made up from the document, sent to a running emulator, and every answer checked.

    python -m tests.contract.campaign --examples 2000 --seed 7

Half of the requests are in order by the document, half are not. Records that earlier requests
made are asked for again, so that not every answer is a 404.
"""

import argparse
import asyncio
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.client import HTTPConnection
from random import Random
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import requests
import schemathesis
from attrs import define, field
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup

from clinia_async.emulator import Accepted, Constant, Emulator, Persisted
from tests.patience import PATIENCE

from .contract import Contract
from .document import read
from .examples import FIRST
from .exchange import Exchange
from .strict_json import NotJson, decode

CHUNK = 10
"""Examples of one operation in a row, before it is another's turn."""

CHECKS = (
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)
"""Those of Schemathesis: they read the same document with code that is not ours."""


@contextmanager
def serving() -> Iterator[Emulator]:
    """An emulator on a loop and a thread of its own, for clients that block."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="emulator", daemon=True)
    thread.start()
    emulator = Emulator(seed=1, bulk=Constant(0.001))
    try:
        asyncio.run_coroutine_threadsafe(emulator.start(), loop).result(PATIENCE)
        yield emulator
        asyncio.run_coroutine_threadsafe(emulator.close(), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


def answered(contract: Contract, emulator: Emulator) -> dict[str, str]:
    """The operations of the document whose route exists, and what the emulator calls it."""
    names = {}
    for id_ in contract.operations:
        before = emulator.requests.copy()
        url = urlsplit(emulator.url)
        connection = HTTPConnection(str(url.hostname), int(url.port or 0), timeout=PATIENCE)
        connection.request(FIRST[id_].method, FIRST[id_].path)  # without a key: nothing is done
        connection.getresponse().read()
        connection.close()
        (name,) = (emulator.requests - before).keys()
        # A route of another operation that happens to take the path does not count.
        if name == id_ or name not in contract.operations.keys() | {"unknown"}:
            names[id_] = name
    return names


@define(kw_only=True, eq=False)
class Campaign:
    contract: Contract
    emulator: Emulator
    seed: int = 0
    sent: int = field(default=0, init=False)
    answers: "Counter[tuple[str, int]]" = field(init=False, factory=Counter)
    faults: dict[tuple[str, str], str] = field(init=False, factory=dict)
    """By operation and fault: the first request that brought it to light."""
    lenient: dict[tuple[str, str], str] = field(init=False, factory=dict)
    """The same for what was wrong with requests that were answered as if they were in order."""
    refused: "Counter[tuple[str, int, str]]" = field(init=False, factory=Counter)
    """Requests in order by the document that were refused, by operation, status and message."""
    _known: dict[str, list[tuple[dict[str, str], str]]] = field(init=False, factory=dict)
    """Ids by kind, each with the source and the type it was seen in."""
    _random: Random = field(init=False)
    _session: requests.Session = field(init=False, factory=requests.Session)

    def __attrs_post_init__(self) -> None:
        self._random = Random(f"{self.seed}:campaign")
        self._session.trust_env = False  # no proxy and no netrc between us and loopback

    def run(self, operations: list[str], examples: int) -> None:
        """Send so many requests of each operation, half of them in order."""
        config = schemathesis.Config.from_dict({"generation": {"allow-x00": False}})
        schema = schemathesis.openapi.from_dict(deepcopy(read()), config=config)
        for turn in range(-(-examples // (2 * CHUNK))):
            self.emulator.default = Accepted(Constant(0.001)) if turn % 2 else Persisted()
            for id_, mode in [(id_, mode) for id_ in operations for mode in GenerationMode]:
                operation = self.contract.operations[id_]
                self._chunk(schema[operation.path][operation.method.lower()], id_, mode, turn)

    def _chunk(self, operation: Any, id_: str, mode: GenerationMode, turn: int) -> None:
        @hypothesis.seed(f"{self.seed}:{turn}:{id_}:{mode}")
        @settings(
            max_examples=CHUNK,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            self._send(case, id_, mode)

        send()

    def _send(self, case: Any, id_: str, mode: GenerationMode) -> None:
        """Collects what is wrong and goes on: a fault must not hide the next one."""
        if mode is GenerationMode.POSITIVE:
            self._reconcile(case, id_)
        key = {"X-Clinia-API-Key": self.emulator.key}
        try:
            response = case.call(base_url=self.emulator.url, session=self._session, headers=key)
        except requests.RequestException as error:
            # Nothing but the kind: an unfinished answer is a fault whatever was asked.
            self.faults.setdefault((id_, f"no answer: {type(error).__name__}"), _asked(case))
            return
        exchange = _exchange(response)
        self.sent += 1
        self.answers[id_, exchange.status] += 1
        # A bulk is accepted with wrong operations in it, and says so in receipts.
        found = self.contract.check(exchange, records=id_.startswith("bulk_") is False)
        found += _of_schemathesis(case, response)
        if exchange.status >= 500 and exchange.status != 501:
            found.append(f"status {exchange.status}: the emulator broke")
        for fault in found:
            where = self.lenient if fault.startswith("request ") else self.faults
            where.setdefault((id_, _general(fault)), _shown(exchange))
        if exchange.good:
            self._learn(id_, exchange)
        elif mode is GenerationMode.POSITIVE:
            self.refused[id_, exchange.status, _message(exchange)] += 1

    def _reconcile(self, case: Any, id_: str) -> None:
        """Few keys and ids instead of many, so that requests meet each other's records."""
        path = case.path_parameters
        for name in path:
            if name != "nestedContainsPath" and name.endswith(("Key", "Type")):
                path[name] = self._key(name)
        for name in list(path):
            known = self._known.get(_kind(id_, name))
            if known and self._random.random() < 0.7:
                place, path[name] = self._random.choice(known[-20:])
                path.update((step, value) for step, value in place.items() if step in path)
        if "withReceipts" in self.contract.operations[id_].query_parameters and self._random.random() < 0.6:
            case.query = {"withReceipts": "true"}
        self._tame(case.body)

    def _key(self, name: str) -> str:
        return f"{name[0]}-{self._random.randrange(2 if name == 'sourceKey' else 6)}"

    def _tame(self, value: Any) -> None:
        """Most of the records that a body names get a plain name: a type and an id."""
        if isinstance(value, dict):
            named = isinstance(value.get("type"), str) and isinstance(value.get("id"), str)
            if named and self._random.random() < 0.9:
                value["id"] = ".".join("r-" + self._random.choice("0123") for _ in value["id"].split("."))
                value["type"] = self._key("type")
        members = value.values() if isinstance(value, dict) else value
        for member in members if isinstance(value, (dict, list)) else ():
            self._tame(member)

    def _learn(self, id_: str, exchange: Exchange) -> None:
        """Ids and keys that the answer, or the path of a write, tells."""
        try:
            answer = decode(exchange.answer_body)
        except NotJson:
            return
        if not isinstance(answer, dict):
            return
        steps = exchange.path.split("/")
        place = {"sourceKey": steps[2], "relationshipType": steps[-1], "resourceType": steps[-1]}
        for kind in ("relationship", "resource"):
            record = answer.get(kind)
            if id_ == f"create_{kind}" and isinstance(record, dict):
                self._known.setdefault(kind, []).append((place, str(record.get("id"))))
        if isinstance(task := answer.get("taskId"), str):
            self._known.setdefault("task", []).append((place, task))
            if id_.startswith("bulk_") or id_ == "purge":
                self._known.setdefault(id_, []).append((place, task))


def _general(fault: str) -> str:
    """The same for every item of an array and for every name that is not known."""
    place, _, rule = fault.rpartition(": ")
    if rule.startswith("no such"):
        place = re.sub(r"[^/ ]+$", "*", place)
    return f"{re.sub(r'/[0-9]+', '/0', place)}: {rule}"


def _kind(id_: str, name: str) -> str:
    """What a parameter of the path is an id of."""
    if name == "id":
        return "relationship" if id_.endswith("relationship") else "resource"
    return {
        "taskId": "task",
        "purgeId": "purge",
        "bulkId": "bulk_relationships" if id_ == "get_relationship_bulk" else "bulk_resources",
    }.get(name, "")


def _exchange(response: Any) -> Exchange:
    request = response.request
    url, body = urlsplit(request.url), request.body or b""
    return Exchange(
        method=request.method,
        path=url.path,
        query=url.query,
        status=response.status_code,
        request_headers=dict(request.headers),
        request_body=body.encode() if isinstance(body, str) else body,
        answer_headers=[(name, value) for name, values in response.headers.items() for value in values],
        answer_body=response.content,
    )


def _of_schemathesis(case: Any, response: Any) -> list[str]:
    found: list[str] = []
    for check in CHECKS:
        try:
            case.validate_response(response, checks=[check])
        except FailureGroup as failures:
            found += [
                f"schemathesis: {getattr(one, 'title', type(one).__name__)}" for one in failures.exceptions
            ]
    return found


def _message(exchange: Exchange) -> str:
    try:
        answer = decode(exchange.answer_body)
    except NotJson:
        return "not JSON"
    return f"{answer.get('type')}: {answer.get('message')}" if isinstance(answer, dict) else "no envelope"


def _asked(case: Any) -> str:
    return f"{case.method} {case.formatted_path} {case.body!r:.300}"


def _shown(exchange: Exchange) -> str:
    query = f"?{exchange.query}" if exchange.query else ""
    return (
        f"{exchange.method} {exchange.path}{query} {exchange.request_body[:200]!r}"
        f" -> {exchange.status} {exchange.answer_body[:200]!r}"
    )


def report(campaign: Campaign, names: dict[str, str]) -> str:
    lines = [f"{campaign.sent} requests, seed {campaign.seed}"]
    missing = sorted(campaign.contract.operations.keys() - names.keys())
    lines.append(f"no route yet: {', '.join(missing) or 'none is missing'}")
    lines += [f"route of {id_} is called {name}" for id_, name in names.items() if id_ != name]
    for id_ in names:
        told = [f"{status} x{n}" for (of, status), n in sorted(campaign.answers.items()) if of == id_]
        lines.append(f"{id_}: {', '.join(told) or 'not reached'}")
    lines.append("in order by the document, and refused:")
    lines += [f"  {id_} {status} x{n} {why}" for (id_, status, why), n in campaign.refused.most_common(60)]
    for title, faults in (("wrong, and not refused", campaign.lenient), ("faults", campaign.faults)):
        lines.append(f"{title}: {len(faults)}")
        for (id_, fault), shown in sorted(faults.items()):
            lines += [f"  {id_}: {fault}", f"      {shown}"]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contract.campaign", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="requests of each operation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--operation", action="append", help="operation id; all without it")
    given = parser.parse_args()
    contract = Contract.load()
    with serving() as emulator:
        names = answered(contract, emulator)
        campaign = Campaign(contract=contract, emulator=emulator, seed=given.seed)
        campaign.run([id_ for id_ in names if id_ in (given.operation or names)], given.examples)
    sys.stdout.write(report(campaign, names) + "\n")
    return bool(campaign.faults)


if __name__ == "__main__":
    sys.exit(main())
