"""What is raised about a journal. Jobs without one know these errors, too, and load nothing else of it."""

from clinia_async.errors import CliniaError, Outcome


class JournalError(CliniaError, OSError):
    """The journal cannot be used. Nothing is sent without it."""

    advice = "check its path and rights, or name another journal"
    outcome = Outcome.NOT_SENT


GO_ON = "make room on its disk, or see what is wrong with it, and run the same job again with this journal"
"""What to do where a job was under way: another journal would know nothing of what was sent."""


class JournalBusy(JournalError):
    """Another job has the journal open."""

    advice = "wait for the end of that job, or name another journal"


class JournalMismatch(JournalError):
    """The journal is of another job: of other input, another source or another service."""

    advice = "name another journal, or give the input and the options of the run before"
