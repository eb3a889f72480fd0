"""Ensured: the record that a create made, or that was there before."""

from typing import Generic

from attrs import field, frozen

from clinia_async.calls.call import R
from clinia_async.calls.conflicts import Existing
from clinia_async.errors import Evidence
from clinia_async.models.value import EqualByFields
from clinia_async.session.submissions import Submission


@frozen(eq=False, repr=False)
class Ensured(EqualByFields, Generic[R]):
    """A record that is there now, and whether this write made it."""

    record: R = field(repr=False)
    """The record as it is stored."""
    existing: Existing | None
    """The record that was there before: equal to what was sent, or different and left as it is; else None."""
    evidence: Evidence
    """What proves this."""

    @property
    def created(self) -> bool:
        """Whether this write made the record, or an attempt of it whose answer was lost."""
        return self.existing is None


async def ensured(submission: Submission[R]) -> Ensured[R]:
    """Send a create that keeps what is there, wait, and return the record. Raises as `result` does."""
    task, record = await submission.task_and_result()
    return Ensured(record, task.existing, task.evidence)
