"""What it costs that requests can be seen: events, the log and OpenTelemetry, off and on."""

from benchmarks.plan import Plan
from benchmarks.quartiles import AtMost
from benchmarks.rounds import Contender, interleaved
from benchmarks.tables import Comparison, Table

OFF = AtMost(1.03)

BARE = Contender("without the checks for telemetry", "telemetry:bare", is_ours=True)
QUIET = Contender("off", "single:ours", is_ours=True)
ON = (
    Contender("one observer", "telemetry:observed", is_ours=True),
    Contender("the log at INFO", "telemetry:logged", {"level": "INFO"}, is_ours=True),
    Contender("the log at DEBUG, formatted", "telemetry:logged", {"level": "DEBUG"}, is_ours=True),
    Contender("OpenTelemetry: spans, metrics", "telemetry:traced", needs="opentelemetry.sdk", is_ours=True),
)


def measure(plan: Plan) -> list[Table]:
    results = interleaved(
        [BARE, QUIET, *ON],
        plan.times(9, 7),
        url=plan.stub.url,
        count=plan.size(4000, 1500),
        in_flight=32,
    )
    compared = Comparison(
        "Single creates, 32 in flight, by who sees them",
        results,
        BARE.name,
        "cpu_us",
        "CPU us a create",
        {QUIET.name: OFF},
        ratio_of_cost=True,
    )
    spans = (
        "each create is two spans, of the call and of its attempt, ended by a provider that exports nothing"
    )
    return [compared.table([spans])]
