"""Mutants of jobs, chunks, journals and dead letters."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "chunk_forgets_the_lost_answer",
        "clinia_async/ingest/senders/bulk_sender.py",
        "proof = proof_of(receipt, maybe_applied=chunk.maybe_applied, action=action, status",
        "proof = proof_of(receipt, maybe_applied=False, action=action, status",
        [
            "tests/ingest/test_evidence.py::test_what_was_stored_by_an_attempt_whose_answer_was_lost_is_proven_by_reading_it"
        ],
    ),
    Mutant(
        "missing_receipt_of_a_chunk_is_stored",
        "clinia_async/ingest/senders/bulk_sender.py",
        "        return Disposition.UNKNOWN, LOST_ANSWER if is_final else NO_RECEIPT, Evidence.NONE",
        "        return _STORED",
        [
            "tests/ingest/test_evidence.py::test_a_failure_after_a_lost_answer_is_no_proof_that_nothing_was_stored"
        ],
    ),
    Mutant(
        "absent_record_after_a_lost_answer_is_failed",
        "clinia_async/calls/conflicts.py",
        "        return KeyConflict(ConflictEnd.UNKNOWN, NOT_FOUND, Evidence.NONE, back)",
        "        return KeyConflict(ConflictEnd.REFUSED, NOT_FOUND, Evidence.NONE, back)",
        ["tests/ingest/test_evidence.py::test_a_record_that_was_deleted_or_changed_since_is_unknown"],
    ),
    Mutant(
        "unknown_error_of_a_chunk_is_rejected",
        "clinia_async/ingest/senders/error_outcomes.py",
        "case ApiError(outcome=Outcome.REJECTED):",
        "case ApiError():",
        ["tests/ingest/test_evidence.py::test_a_record_that_was_deleted_or_changed_since_is_unknown"],
    ),
    Mutant(
        "split_halves_forget_the_lost_answer",
        "clinia_async/ingest/pipeline/worker.py",
        "                maybe_applied=chunk.maybe_applied,\n                reported_before",
        "                reported_before",
        [
            "tests/ingest/pipeline/test_chunks.py::test_halves_of_a_chunk_whose_answer_was_lost_may_have_been_applied"
        ],
    ),
    Mutant(
        "chunk_of_mixed_kinds_takes_one_too_many",
        "clinia_async/ingest/pipeline/chunker.py",
        "fitting = batch.fitting(most, largest)",
        "fitting = batch.fitting(most + 1, largest)",
        [
            "tests/ingest/pipeline/test_chunks.py::test_no_chunk_holds_more_than_its_limit_where_kinds_are_mixed"
        ],
    ),
    Mutant(
        "mixed_chunk_has_the_room_of_an_empty_one",
        "clinia_async/ingest/pipeline/chunker.py",
        "self._limits.operations - opened.count, self._limits.bytes",
        "self._limits.operations, self._limits.bytes",
        [
            "tests/ingest/pipeline/test_chunks.py::test_no_chunk_holds_more_than_its_limit_where_kinds_are_mixed"
        ],
    ),
    Mutant(
        "followers_of_a_key_are_last_first",
        "clinia_async/ingest/pipeline/key_locks.py",
        "followers.append(queue.popleft())",
        "followers.append(queue.pop())",
        ["tests/ingest/test_jobs.py::test_two_writes_of_one_key_never_fly_together_and_keep_their_order"],
    ),
    Mutant(
        "two_writes_of_a_key_are_in_flight",
        "clinia_async/ingest/pipeline/key_locks.py",
        "        if mark not in self._held:\n            self._held.add(mark)\n            return True",
        "        if True:\n            self._held.add(mark)\n            return True",
        ["tests/ingest/test_jobs.py::test_a_key_that_is_taken_is_reconciled_as_asked"],
    ),
    Mutant(
        "blank_lines_that_are_passed_over_are_records",
        "clinia_async/ingest/readers/ndjson.py",
        "return len(self._lines) - blank, blank",
        "return len(self._lines), blank",
        ["tests/ingest/journal/test_journal.py::test_lines_that_landed_are_not_read_again"],
    ),
    Mutant(
        "packed_records_are_unpacked_in_another_order",
        "clinia_async/ingest/records/record_batch.py",
        "self._packed.payloads()",
        "self._packed.payloads()[::-1]",
        ["tests/ingest/pipeline/test_pending_chunks.py::test_packed_chunks_are_sent_again_as_they_were"],
    ),
    Mutant(
        "changed_row_of_a_journal_is_read",
        "clinia_async/ingest/journal/tables.py",
        "    if checksum_of(row[:-1]) != row[-1]:\n",
        "    if False:\n",
        ["tests/ingest/journal/test_damage.py::test_a_flipped_bit_changes_nothing_or_is_refused"],
    ),
    Mutant(
        "folder_of_a_new_journal_is_not_synced",
        "clinia_async/ingest/journal/file.py",
        "        sync(path.parent)\n",
        "",
        [
            "tests/ingest/journal/test_damage.py::test_a_new_journal_and_its_name_are_synced_before_anything_is_sent"
        ],
    ),
    Mutant(
        "damaged_journal_is_not_checked",
        "clinia_async/ingest/journal/file.py",
        'if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):',
        "if False:",
        ["tests/ingest/journal/test_damage.py::test_the_pages_of_a_journal_are_checked_when_it_is_opened"],
    ),
    Mutant(
        "journal_loses_commits_with_the_power",
        "clinia_async/ingest/journal/file.py",
        'SYNCHRONOUS = "FULL"',
        'SYNCHRONOUS = "NORMAL"',
        ["tests/ingest/journal/test_power_loss.py::test_what_was_acknowledged_is_there_after_a_power_loss"],
    ),
    Mutant(
        "journal_is_readable_by_all",
        "clinia_async/ingest/journal/file.py",
        "os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)",
        "os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o644)",
        ["tests/ingest/journal/test_journal.py::test_a_job_goes_on_where_it_was_cut_off"],
    ),
    Mutant(
        "dead_letters_are_readable_by_all",
        "clinia_async/ingest/outcomes/dead_letters.py",
        'os.O_NOFOLLOW, 0o600), "wb")',
        'os.O_NOFOLLOW, 0o644), "wb")',
        ["tests/ingest/outcomes/test_dead_letters.py::test_the_file_is_its_owners_alone_and_follows_no_link"],
    ),
    Mutant(
        "patience_counts_from_the_last_success",
        "clinia_async/ingest/senders/retrying_session.py",
        "max(began, self._last_success, key=lambda moment: moment.loop)",
        "self._last_success",
        [
            "tests/ingest/test_jobs.py::test_the_patience_counts_from_the_first_failure_and_not_from_an_idle_time_before"
        ],
    ),
    Mutant(
        "cancelled_close_leaves_the_journal_open",
        "clinia_async/ingest/journal/journal.py",
        "await asyncio.shield(closing)",
        "await closing",
        [
            "tests/ingest/journal/test_damage.py::test_a_close_that_is_cancelled_before_its_thread_comes_to_it_closes"
        ],
    ),
    Mutant(
        "cancelled_result_loses_its_task",
        "clinia_async/session/submissions.py",
        "            self._keep(task)\n",
        "",
        ["tests/session/test_cancellation.py::test_a_task_that_only_a_cancelled_wait_had_is_in_doubt"],
    ),
    Mutant(
        "lost_commits_are_not_noticed",
        "clinia_async/ingest/journal/journal.py",
        "if job.commits < count.known:",
        "if False:",
        [
            "tests/ingest/journal/test_damage.py::test_a_flipped_bit_in_a_journal_that_was_cut_off_changes_nothing_or_is_refused"
        ],
    ),
    Mutant(
        "dicts_are_read_as_the_source_left_them",
        "clinia_async/ingest/pipeline/input_reader.py",
        " or not exact_json.are_written_so(items, texts)",
        "",
        ["tests/ingest/test_dicts.py::test_a_source_may_fill_the_same_objects_again"],
    ),
    Mutant(
        "landed_records_are_placed_one_by_one",
        "clinia_async/ingest/pipeline/input_reader.py",
        "return self._pass_over(len(batch))",
        "return False",
        ["tests/ingest/journal/test_journal.py::test_records_that_landed_are_counted_together"],
    ),
    Mutant(
        "part_of_a_batch_that_landed_speaks_for_all",
        "clinia_async/ingest/journal/rows.py",
        "first in where and where.holds_all(first, last)",
        "first in where",
        ["tests/ingest/journal/test_journal.py::test_records_that_landed_are_counted_together"],
    ),
    Mutant(
        "journal_that_lost_its_log_and_its_count_goes_on",
        "clinia_async/ingest/journal/journal.py",
        "if was_in_use and not (had_log or had_count):",
        "if False:",
        ["tests/ingest/journal/test_damage.py"],
    ),
    Mutant(
        "journal_in_use_is_marked_in_its_log_alone",
        "clinia_async/ingest/journal/file.py",
        '{VERSION | IN_USE * in_use}")\n    checkpoint(connection)\n',
        '{VERSION | IN_USE * in_use}")\n',
        ["tests/ingest/journal/test_damage.py"],
    ),
    Mutant(
        "copy_of_a_journal_needs_no_log",
        "clinia_async/ingest/journal/journal.py",
        "if is_copy or not may_be_copy:",
        "if not may_be_copy:",
        ["tests/ingest/journal/test_damage.py"],
    ),
]
