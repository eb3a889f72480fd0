"""What it costs to import the library and to ask its command line for help."""

from benchmarks.plan import Plan
from benchmarks.quartiles import AtMost, Quartiles
from benchmarks.rounds import Contender, interleaved
from benchmarks.tables import Comparison, Goaled, Table

IMPORT, LOADED, HELP = AtMost(1.15, 1.15), AtMost(1.15, 1.4), AtMost(1.5, 1.5)

_THEIRS = "import aiohttp, attrs, cattrs.preconf.orjson"
_OPENED = """
import backoff
from clinia_async import Session
from clinia_async.session.engine import load_what_requests_need
load_what_requests_need()
"""
"""A session loads the rest when it is opened; a test finds whatever is loaded later."""
_CLICK = """
import click

@click.command()
@click.argument("file")
@click.option("--source", required=True, help="Where to.")
def send(file, source):
    "Sends a file."

send(["--help"])
"""
ALONE = Contender("aiohttp, attrs, cattrs' orjson converter", "importing:statement", {"code": _THEIRS})
IMPORTED = (
    Contender("import clinia_async", "importing:statement", {"code": "import clinia_async"}, is_ours=True),
    Contender(
        "clinia_async and its Session",
        "importing:statement",
        {"code": "from clinia_async import Session"},
        is_ours=True,
    ),
    Contender(
        "and all that a session loads when opened", "importing:statement", {"code": _OPENED}, is_ours=True
    ),
)
BARE = Contender("a program of click, --help", "importing:program", {"code": _CLICK}, needs="click")
HELPED = Contender(
    "clinia-async --help",
    "importing:program",
    {"code": "from clinia_async.cli import main; main(['--help'])"},
    needs="click",
    is_ours=True,
)
INGEST = Contender("clinia-async ingest, NDJSON", "importing:ingest", needs="click", is_ours=True)
STARTED = AtMost(250)
NOTHING = Contender("the interpreter alone", "importing:program", {"code": ""})


def measure(plan: Plan) -> list[Table]:
    rounds = plan.times(11, 7)
    imported = Comparison(
        "Importing, in a fresh process, without the start of the interpreter",
        interleaved([ALONE, *IMPORTED], rounds),
        ALONE.name,
        "cpu_ms",
        "CPU ms",
        {IMPORTED[0].name: IMPORT, IMPORTED[1].name: LOADED},
        ratio_of_cost=True,
    )
    helped = Comparison(
        "Help of the command line, the whole process",
        interleaved([BARE, HELPED, NOTHING], rounds),
        BARE.name,
        "cpu_ms",
        "CPU ms",
        {HELPED.name: HELP},
        ratio_of_cost=True,
    )
    started = _started(plan)
    lazy = (
        "every call, the models and cattrs' converters are loaded when a session is opened, and nothing later"
    )
    return [imported.table([lazy]), helped.table(), started]


def _started(plan: Plan) -> Table:
    """What an ingest costs until it connects, which is before it has sent anything."""
    results = interleaved([INGEST], plan.times(9, 5))
    found = Quartiles.of(results.of(INGEST.name, "cpu_ms"))
    row = [INGEST.name, str(found), str(STARTED), STARTED.result(found)]
    title = "CPU of an ingest before its first byte is sent"
    goal = Goaled(f"{title}, ms", str(found), str(STARTED), row[-1])
    return Table(title, ["", "CPU ms [q1..q3]", "goal", ""], [row], goals=[goal])
