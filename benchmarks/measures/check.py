"""The slice for CI: only what has a fail figure, and only ours against its baseline."""

from benchmarks.measures import bulk, imports, single
from benchmarks.plan import Plan
from benchmarks.tables import Table


def measure(plan: Plan) -> list[Table]:
    return [*single.checked(plan), *bulk.checked(plan), *imports.measure(plan)]
