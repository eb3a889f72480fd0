"""Creates whose replies are lost: what each way to retry says of them, and what the service did."""

from benchmarks.plan import Plan
from benchmarks.rounds import Contender, interleaved
from benchmarks.tables import Table

CONTENDERS = (
    Contender("clinia_async", "lost_replies:ours", is_ours=True),
    Contender("aiohttp-retry", "lost_replies:aiohttp_retry", needs="aiohttp_retry"),
    Contender("backoff around aiohttp", "lost_replies:backoff", needs="backoff"),
    Contender("azure-core, POST retried", "lost_replies:azure_core", needs="azure.core"),
    Contender("httpx, retries of its transport", "lost_replies:httpx", needs="httpx"),
)
COLUMNS = (
    ("right answers", "right"),
    ("false errors", "false_errors"),
    ("false successes", "false_successes"),
    ("unknown", "unknown"),
    ("failed, not stored", "failed"),
    ("doubles", "doubles"),
    ("creates sent", "requests"),
)
NOTES = (
    "the server refuses a key that is taken; 5 % of replies are lost after the create was carried out",
    "3 % of answers are a 502; half of those creates were carried out",
    "2 % of the keys are taken by another record before: the right answer is that they are refused",
    "a false error says refused or failed of a record that is stored; unknown says that it may be",
    "five attempts at most for each contender; ours with its defaults, of which a budget of retries is one",
)


def measure(plan: Plan) -> list[Table]:
    count = plan.size(3000, 300)
    results = interleaved(CONTENDERS, plan.times(1, 1), count=count, seed=1)
    rows = [
        [name, *(f"{sum(results.of(name, figure)):.0f}" for _, figure in COLUMNS)] for name in results.samples
    ]
    wrong = [
        f"{figure} of {each.name}"
        for each in CONTENDERS
        for figure in ("false_errors", "false_successes", "doubles")
        if each.is_ours and sum(results.of(each.name, figure))
    ]
    notes = [*NOTES, *(f"not measured: {reason}" for reason in results.missing)]
    title = f"{count:,} creates, lost replies"
    return [Table(title, ["", *(heading for heading, _ in COLUMNS)], rows, notes, wrong)]
