"""What importing costs, by what it loads: names of modules and counts, no times."""

import os
import subprocess
import sys
import tempfile

import pytest

import clinia_async
from clinia_async import calls, models
from clinia_async.cli.exit_codes import ExitCode
from tests.cli.served import Served
from tests.factories import refusing_socket, url_of
from tests.patience import PATIENCE

NESTED = """
import sys

class Finder:
    def find_spec(name, path=None, target=None):
        if name == "aiohttp":
            frame, found = sys._getframe(), []
            while frame:
                if frame.f_code.co_name == "<module>" and "clinia_async" in frame.f_code.co_filename:
                    found.append(frame.f_globals["__name__"])
                frame = frame.f_back
            print(*found, file=sys.stderr)

sys.meta_path.insert(0, Finder)
"""
COMPILED = """
import sys
from clinia_async import Session
from clinia_async.session.engine import load_what_requests_need

load_what_requests_need()
for name, module in list(sys.modules.items()):
    for kind in list(vars(module).values()) if name.startswith("clinia_async.") else ():
        if isinstance(kind, type) and kind.__module__ == name:
            for method in ("__eq__", "__hash__", "__repr__"):
                code = getattr(vars(kind).get(method), "__code__", None)
                if "attrs generated" in getattr(code, "co_filename", ""):
                    print(f"{kind.__name__}.{method}")
"""


LOADED = """
import sys
from clinia_async.cli import main

code = main(["ingest", "-", "--source", "ehr", "--base-url", {!r}, "--on-existing", "keep"])
print(code, *sorted(sys.modules.keys() & set({!r})), file=sys.stderr)
"""
FOR_OTHER_INPUTS = {
    "cattrs",
    "clinia_async.emulator",
    "clinia_async.ingest.journal.journal",
    "clinia_async.ingest.processes.job",
    "clinia_async.ingest.readers.csv_reader",
    "clinia_async.ingest.readers.fhir_bundle",
    "clinia_async.ingest.readers.fhir_reader",
    "clinia_async.ingest.readers.json_reader",
    "clinia_async.ingest.readers.parquet_reader",
    "clinia_async.serialization.converters",
    "ctypes",
    "difflib",
    "rich",
    "sqlite3",
    "zipfile",
}
MODULES = """
import sys
{}
print(*sys.modules)
"""
ATTRS = """
import sys
from clinia_async import Session

for name, module in list(sys.modules.items()):
    for kind in list(vars(module).values()) if name.startswith("clinia_async.") else ():
        if isinstance(kind, type) and kind.__module__ == name and "__attrs_attrs__" in vars(kind):
            print(kind.__name__)
"""
BASES = {"Event", "RecordCall"}
"""Of classes that callers are given."""
LIBRARY = "from clinia_async import Session\n"
INGEST = """
from clinia_async.cli import main

assert main(["ingest", "-", "--source", "ehr", "--base-url", {!r}]) != 2
"""
LINE = '{"type": "clinic", "id": "c-1", "data": {}}'


def ran(program: str, key: str = "k") -> subprocess.CompletedProcess[str]:
    """Run a program, which is given a line to ingest."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("CLINIA_")}
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            input=LINE,
            check=True,
            timeout=PATIENCE,
            cwd=folder,
            env={**environment, "CLINIA_API_KEY": key},
        )


@pytest.mark.parametrize("use", [LIBRARY, INGEST], ids=["library", "ingest"])
def test_the_http_client_is_loaded_before_our_own_imports_nest(use: str) -> None:
    """From deeper, calls cross the end of a chunk of CPython's stack, which maps and unmaps memory."""
    with refusing_socket() as refusing:
        found = ran(NESTED + use.format(url_of(refusing))).stderr.splitlines()[0]
    assert found.split() == ["clinia_async.transport.http_transport", "clinia_async.session"]


def test_comparisons_and_reprs_of_what_a_session_loads_are_not_compiled_class_by_class() -> None:
    """`EqualByFields` has them. Ids of tasks are compared so often that theirs are worth it."""
    assert ran(COMPILED).stdout.split() == ["TaskId.__eq__", "TaskId.__hash__"]


def test_a_session_loads_no_module_of_others_but_those_of_its_dependencies() -> None:
    """`decimal` takes as long as ten of ours, and few have such numbers."""
    needed = set(ran(MODULES.format("import aiohttp, attrs, cattrs.preconf.orjson")).stdout.split())
    loaded = set(ran(MODULES.format("from clinia_async import Session")).stdout.split())
    assert {name for name in loaded - needed if name.partition(".")[0] != "clinia_async"} == set()


def test_attrs_makes_only_what_callers_are_given() -> None:
    """It takes twenty times as long for a class as a `Struct` takes."""
    kinds = {name for name in ran(ATTRS).stdout.split() if name not in BASES}
    assert {
        kind for kind in kinds if kind not in {*clinia_async.__all__, *models.__all__, *calls.__all__}
    } == set()
    assert len(kinds) > len(BASES)


def test_lines_are_ingested_without_what_other_inputs_need() -> None:
    """Whatever is loaded takes memory for as long as the job runs."""
    with Served() as served:
        program = LOADED.format(served.url, FOR_OTHER_INPUTS)
        found = ran(program, served.key).stderr.splitlines()[-1]
    assert found.split() == [str(int(ExitCode.OK))]
