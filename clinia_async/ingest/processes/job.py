"""The coordinator of a job of several processes: gives them orders, and adds up what they report."""

import asyncio
import contextlib
import logging
import pickle
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack, cast

from attrs import evolve

from clinia_async.calls.validation import check_key
from clinia_async.errors import CliniaError, ConfigError, Outcome, reason_of
from clinia_async.errors.settings import Number, check_named
from clinia_async.ingest.file_job import ReadFiles, unwritable
from clinia_async.ingest.journal.folder import JournalFolder
from clinia_async.ingest.options import (
    MOST_PROCESSES,
    IngestionOptions,
    JobOptions,
    checked_options,
    journal_of,
)
from clinia_async.ingest.outcomes.dead_letters import DeadLetters, join_dead_letters, remove_dead_letters
from clinia_async.ingest.outcomes.outcome import Disposition
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.processes.frames import Cancel, Stop, WorkerEnd, WorkerOrder
from clinia_async.ingest.processes.worker_process import WorkerProcess, end_all
from clinia_async.ingest.readers.column_mapping import ColumnMapping
from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.readers.fhir_content import FhirContent, PassedOver
from clinia_async.ingest.readers.files import identity_of, read_records
from clinia_async.ingest.readers.formats import InputFormat
from clinia_async.ingest.readers.input_paths import listed_files
from clinia_async.ingest.readers.table_options import TableOptions
from clinia_async.ingest.records.input_part import InputPart
from clinia_async.ingest.records.record import IdMapping
from clinia_async.ingest.records.record_stream import RecordStream
from clinia_async.ingest.senders.retrying_session import JobStopped
from clinia_async.models import Action
from clinia_async.models.refusal import without_locals
from clinia_async.models.secret import Secret
from clinia_async.session.session import Session
from clinia_async.transport.adaptive_limit import ConcurrencyLimits, Load

_log = logging.getLogger("clinia_async.ingest")

_KILLED = "its process was killed"


class ReadOptions(TypedDict, total=False):
    """How files are read: the options of `read_records`."""

    format: InputFormat | str | None
    columns: ColumnMapping | None
    table: TableOptions | None
    action: Action | str
    map_id: IdMapping | None
    fhir: FhirContent | str
    fhir_base: str | None


class WorkerDied(JobStopped):
    """A process of the job was killed. What it had in flight may or may not have landed."""

    outcome = Outcome.UNKNOWN


class ProcessIngestion:
    """Loads files with several processes of this machine, as one job with one report.

        job = ProcessIngestion([Path("relationships.ndjson")], "ehr-prod", processes=4,
                               session={"workspace": "acme"}, dead_letters=Path("dead.ndjson"))
        report = await job.run()

    All records of one key go to one process, so that their order holds. Each process reads all of the files
    and sends its own records. They share the `limits`, and the service sees one client.

    With a `journal`, which is a folder here, the same job is resumed where it was stopped, with the same
    number of processes, whichever of them were killed. They end with the one that started them.

    Args:
        files: read by each process; standard input cannot be.
        source: the key of the source that every record belongs to.
        processes: how many, 1000 at most; more than there are cores gain nothing.
        dead_letters: the file for records that did not land. It is written at the end; until then there is
            one a process beside it, named `.part-0` and so on.
        session: the arguments of `Session.from_env`, such as the workspace. The key, from here or from the
            environment, goes to the processes through a pipe.
        read: how the files are read: the options of `read_records`.
        journal: the folder to write progress to; it is made if it is not there.
        journal_is_copy: take a journal that was copied or restored from a backup for the original.
        input_id: any text that changes with the input; without it the files are read once more for it.
        service: any text that names the service in the journal; without it the origin of the registry.
        open_input: opens the files in each process, in place of `read`; it has to be picklable.
        options: those of `Ingestion`. `workers` is for each process.
    """

    @without_locals
    def __init__(
        self,
        files: Sequence[Path | str],
        source: str,
        *,
        processes: int,
        dead_letters: Path | str,
        session: Mapping[str, object] | None = None,
        read: ReadOptions | None = None,
        journal: Path | str | None = None,
        journal_is_copy: bool = False,
        input_id: str | None = None,
        service: str | None = None,
        open_input: ReadFiles | None = None,
        **options: Unpack[IngestionOptions],
    ) -> None:
        """Check the options; nothing is read, started or sent before `run`.

        Raises:
            ConfigError: an option is outside its range, or does not go with several processes; or so is a
                setting of the `session`.
            InvalidWrite: `source` is no key.
        """
        check_key(source, "$.source")
        Number(least=1, most=MOST_PROCESSES, whole=True).check("processes", processes)
        check_named("read", {} if read is None else read)
        self._read: ReadOptions = read or {}
        if self._read.get("fhir") == FhirContent.BOTH:
            raise ConfigError(
                "several processes cannot wait for each other's resources: load fhir resources first,"
                " and the references in a second job"
            )
        self.report = Report()
        self.load = Load()
        self.dead_letters_count = 0
        self.skipped_references: Counter[str] = Counter()
        self.error: CliniaError | None = None
        self._files = listed_files(files)
        self._source, self._processes = source, processes
        self._dead_letters = DeadLetters(dead_letters).path
        self._session = _checked_session({} if session is None else session)
        self._journal = journal_of(journal, is_copy=journal_is_copy)
        self._journal_is_copy, self._input_id = journal_is_copy, input_id
        self._service = service
        self._open_input = open_input or partial(_opened, self._files, source, self._read)
        if open_input is None:
            read_records(self._files, source, **self._read)  # which checks the options
        self._options = checked_options(**options)
        self._given = options
        for name, value in {"session": self._session, "open_input": self._open_input, **options}.items():
            _check_sendable("read" if name == "open_input" and open_input is None else name, value)
        self._workers: list[WorkerProcess] = []
        self._has_run = False
        self.on_state: Callable[[], None] = lambda: None

    async def run(self) -> Report:
        """Run the job to its end and return its report. A job runs once.

        Raises:
            ConfigError: the job has run before, or a file beside `dead_letters` would be lost.
            InputError: the files cannot be read on, or changed while they were read.
            JournalBusy: another job has the journal open.
            JournalMismatch: the journal is of other input, another service, or another number of processes.
            WorkerDied: a process was killed; the others have completed what they had in flight.
            CliniaError: what ended a process, as `Ingestion` raises it.
        """
        if self._has_run:
            raise ConfigError("a job runs once: make another one for another run")
        self._has_run = True
        self.report.start(asyncio.get_running_loop().time)
        try:
            if self._journal is not None and self._input_id is None:
                self._input_id = await identity_of(self._files, **self._read)
            with self._folders() as (journals, shared):
                await self._run(journals, shared)
        except BaseException as error:
            self.report.stopped_by = self.report.stopped_by or reason_of(error)
            raise
        finally:
            self.report.finish()
        if self.error is not None:
            raise self.error
        return self.report

    def stop(self, grace: float | None = None) -> None:
        """Read and send no further record in any process; complete what is in flight, for `grace` seconds."""
        if self.report.stopped_by is None:
            self.report.stopped_by = "asked to stop"
        for worker in self._workers:
            worker.say(Stop(grace))

    def cancel(self) -> None:
        """Wait for nothing more in any process: what is in flight is reported as unknown."""
        for worker in self._workers:
            worker.say(Cancel())

    def bytes_of(self, records: int) -> float | None:
        """Return about how many bytes of the files the first `records` records take; None if unknown.

        Each process reads all of them: what counts is how far the slowest one is.
        """
        states = [worker.state for worker in self._workers]
        known = [state.bytes_read for state in states if state is not None and state.bytes_read is not None]
        if not known or len(known) < len(states) or not self.report.read:
            return None
        return min(known) * records / self.report.read

    @contextlib.contextmanager
    def _folders(self) -> Iterator[tuple[JournalFolder | None, Path]]:
        """The folder of the journals, if there is one, and the file of the limit that the processes share."""
        if self._journal is None:
            with tempfile.TemporaryDirectory(prefix="clinia-limit-") as folder:
                yield None, Path(folder) / "limit"
            return
        about = {"source": self._source, "via": self._options.via, "input": self._input_id}
        journals = JournalFolder.open(self._journal, self._processes, about)
        try:
            yield journals, journals.path / "limit"
        finally:
            journals.close()

    async def _run(self, journals: JournalFolder | None, shared: Path) -> None:
        dead_letters = [self._dead_letters_of(number) for number in range(self._processes)]
        for left in dead_letters:
            remove_dead_letters(left)  # they are written again
        limits = self._options.limits
        limits = limits if limits.shared is not None else evolve(limits, shared=shared)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._processes):
                    worker = await self._start(number, journals, limits)
                    group.create_task(self._follow(worker), name="clinia-worker")
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            await end_all(self._workers)
            self._conclude(dead_letters)

    async def _start(
        self, number: int, journals: JournalFolder | None, limits: ConcurrencyLimits
    ) -> WorkerProcess:
        worker = await WorkerProcess.start(number)
        self._workers.append(worker)
        worker.say(self._order(number, journals, limits))
        if self.report.stopped_by is not None:
            worker.say(Stop(None))
        return worker

    def _order(self, number: int, journals: JournalFolder | None, limits: ConcurrencyLimits) -> WorkerOrder:
        session = dict(self._session)
        key = cast("str | None", session.pop("api_key", None))
        options = cast("JobOptions", {**self._given, "limits": limits})
        options["input_id"] = None if journals is None else f"{self._input_id} {number}/{self._processes}"
        options["journal"] = None if journals is None else journals.part(number)
        options["journal_is_copy"], options["service"] = self._journal_is_copy, self._service
        return WorkerOrder(
            InputPart(number, self._processes),
            self._source,
            self._open_input,
            self._dead_letters_of(number),
            options,
            session,
            key,
        )

    async def _follow(self, worker: WorkerProcess) -> None:
        """Take in what a worker reports, to its end; stop the others where it failed or was killed."""
        async with contextlib.aclosing(worker.news()) as news:
            async for _ in news:
                self._add_up()
                self.on_state()
        how = await worker.how_it_ended()
        end = worker.end = worker.end or WorkerEnd(worker.state, error=self._died(worker, how))
        if end.unexpected_error is not None:
            raise RuntimeError(f"a process of the job failed:\n{end.unexpected_error}")
        self.error = self.error or end.error
        # an error of the input is met by every process, each at the end of what can be read
        if end.error is not None and not isinstance(end.error, InputError):
            reason = self.report.stopped_by or reason_of(end.error)
            self.stop()
            self.report.stopped_by = reason

    def _died(self, worker: WorkerProcess, how: str) -> WorkerDied:
        return WorkerDied(f"process {worker.number + 1} of {self._processes} {how}; {self._advice()}")

    def _advice(self) -> str:
        if self._journal is None:
            return "give a journal the next time: without one it is not known what it had sent"
        return "the same job resumes where it was stopped"

    def _add_up(self) -> None:
        states = [worker.state for worker in self._workers if worker.state is not None]
        self.report.become_sum_of([state.report for state in states])
        now, load = asyncio.get_running_loop().time(), self.load
        load.in_flight = max((state.in_flight for state in states), default=0)
        load.limit = min((state.limit for state in states), default=0.0)
        load.throttles = self.report.throttles
        load.closed_until = now + max((state.closed_for for state in states), default=0.0)
        load.last_throttle = next((state.last_throttle for state in states), "")

    def _conclude(self, dead_letters: Sequence[Path]) -> None:
        """Make the report complete, and one file of the dead letters of all processes."""
        self._add_up()
        self._check_same_input()
        report = self.report
        for worker in self._workers:
            if isinstance(worker.end and worker.end.error, WorkerDied) and worker.state is not None:
                left = worker.state.report.read - worker.state.report.completed
                report.by_disposition[Disposition.UNKNOWN] += left
                report.reasons[Disposition.UNKNOWN, _KILLED] += left
            if worker.end is not None:
                self.skipped_references |= worker.end.skipped_references  # each of them reads all of it
                stopped_by = worker.state and worker.state.report.stopped_by
                report.stopped_by = report.stopped_by or stopped_by or None
        try:
            well = self.error is None and report.all_landed
            self.dead_letters_count = join_dead_letters(self._dead_letters, dead_letters, all_landed=well)
        except OSError as error:
            parts = [part for part in dead_letters if part.exists()]
            if self.error is not None:
                names = ", ".join(part.name for part in parts)
                _log.warning("the dead letters could not be put into one file: they are in %s", names)
            self.error = self.error or unwritable(error, parts)

    def _check_same_input(self) -> None:
        """Note an error where processes saw different records: each left out what it took for another's."""
        seen = {worker.end.seen for worker in self._workers if worker.end is not None and worker.end.seen}
        if len(seen) > 1 and self.error is None:
            self.error = InputError(
                "the files changed while the processes read them, and records may be missing: run the job"
                " again when nothing writes to them"
            )
            self.report.stopped_by = self.report.stopped_by or reason_of(self.error)

    def _dead_letters_of(self, number: int) -> Path:
        return self._dead_letters.with_name(f"{self._dead_letters.name}.part-{number}")


def _checked_session(given: object) -> dict[str, object]:
    """Return arguments of `Session.from_env` with the text of each secret, which no pipe takes otherwise."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigError("session must be a mapping of the names of arguments of Session.from_env")
    if given.get("http_session") is not None:
        raise ConfigError(
            "several processes cannot share an http_session: leave it out, and each opens its own connections"
        )
    try:
        Session.from_env(**given)  # which refuses what is wrong before anything is started
    except TypeError as error:
        raise ConfigError(f"session must hold arguments of Session.from_env: {error}") from None
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in given.items()}


def _check_sendable(name: str, value: object) -> None:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001  whatever it is, its text may quote the value
        raise ConfigError(
            f"{name} must hold what another process can be given: functions of a module, not lambdas"
        ) from None


def _opened(
    files: Sequence[Path], source: str, options: ReadOptions, passed_over: PassedOver
) -> RecordStream:
    return read_records(files, source, **options, passed_over=passed_over)
