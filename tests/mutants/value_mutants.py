"""Mutants of ids, JSON and the time of the emulator."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "id_with_a_line_end_is_valid",
        "clinia_async/models/identifiers.py",
        "_NEW_ID.fullmatch(text)",
        "_NEW_ID.match(text)",
        ["tests/calls/test_calls.py::test_invalid_ids_of_new_resources_are_refused_before_sending"],
    ),
    Mutant(
        "key_of_other_digits_is_valid",
        "clinia_async/models/identifiers.py",
        '_KEY = re.compile(r"[a-zA-Z0-9-][\\w-]{0,61}", re.ASCII)',
        '_KEY = re.compile(r"[a-zA-Z0-9-][\\w-]{0,61}")',
        ["tests/calls/test_calls.py::test_invalid_keys_are_refused_before_sending"],
    ),
    Mutant(
        "end_with_a_dot_is_valid",
        "clinia_async/models/identifiers.py",
        'return character == "." or _is_invisible(character)',
        "return _is_invisible(character)",
        ["tests/calls/test_calls.py::test_invalid_end_ids_are_refused_before_sending"],
    ),
    Mutant(
        "escaped_dots_collide",
        "clinia_async/models/identifiers.py",
        'return identifier.replace("_", "_5F").replace(".", "_2E")',
        'return identifier.replace(".", "_2E")',
        ["tests/calls/test_calls.py::test_unescape_dots_reverses_escape_dots"],
    ),
    Mutant(
        "task_id_may_change_the_path",
        "clinia_async/models/task_id.py",
        "not _SAFE_IN_A_PATH.fullmatch(value)",
        "not _SAFE_IN_A_PATH.match(value)",
        ["tests/models/test_task_id.py::test_task_ids_that_cannot_stand_in_a_path_are_refused"],
    ),
    Mutant(
        "deprecated_id_is_of_any_task",
        "clinia_async/models/task_id.py",
        'return self.kind is TaskKind.LEGACY and other.value in {f"bk_{self.value}", f"bd_{self.value}"}',
        "return self.kind is TaskKind.LEGACY",
        ["tests/models/test_task_id.py::test_an_answer_about_another_task_than_was_asked_for_is_refused"],
    ),
    Mutant(
        "null_is_not_absent",
        "clinia_async/serialization/object_hooks.py",
        "        return value is None or (\n            type(value) in _EMPTY_TYPES",
        "        return (\n            type(value) in _EMPTY_TYPES",
        ["tests/serialization/test_answer_shapes.py::test_a_field_that_cannot_be_read_costs_itself_alone"],
    ),
    Mutant(
        "key_given_twice_is_read",
        "clinia_async/serialization/strict_json.py",
        "return again == text or (again.count(b'\"') == text.count(b'\"') and b\"\\\\u0022\" not in text)",
        "return True",
        [
            "tests/ingest/readers/test_ndjson.py::test_what_is_wrong_is_named_by_place_and_rule_and_never_quoted"
        ],
    ),
    Mutant(
        "timestamps_of_the_emulator_go_back",
        "clinia_async/emulator/clock.py",
        "self._ahead = max(self._ahead, time() - self.now())",
        "self._ahead = time() - self.now()",
        ["tests/emulator/test_clock.py::test_timestamps_never_go_back"],
    ),
    Mutant(
        "timestamps_of_a_restart_go_back",
        "clinia_async/emulator/clock.py",
        "else max(time(), datetime.fromisoformat(earliest).timestamp())",
        "else time()",
        ["tests/emulator/test_clock.py::test_timestamps_do_not_go_back_with_a_restart"],
    ),
    Mutant(
        "refusal_keeps_its_frames",
        "clinia_async/models/refusal.py",
        "    return error.with_traceback(None)",
        "    return error",
        ["tests/test_wrong_values.py::test_a_wrong_value_is_refused_in_words"],
    ),
    Mutant(
        "refusal_keeps_what_it_came_from",
        "clinia_async/models/refusal.py",
        "    error.__cause__ = error.__context__ = None\n",
        "",
        ["tests/test_wrong_values.py::test_what_it_came_from_is_not_kept"],
    ),
    Mutant(
        "what_wraps_a_function_counts_as_clearing_its_locals",
        "clinia_async/models/refusal.py",
        'getattr(function, "clears_own_locals", None) is function.__code__',
        'hasattr(function, "clears_own_locals")',
        ["tests/test_wrong_values.py::test_a_wrong_value_is_refused_in_words"],
    ),
]
