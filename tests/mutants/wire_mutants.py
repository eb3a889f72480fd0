"""Mutants of requests, answers and retries."""

from tests.mutants.mutant import Mutant

MUTANTS = [
    Mutant(
        "last_failure_forgets_the_lost_answer",
        "clinia_async/transport/sender.py",
        "    if maybe_applied:\n        failure.outcome = Outcome.UNKNOWN\n",
        "",
        ["tests/session/test_reconciliation.py::test_a_409_without_a_type_reconciles_nothing"],
    ),
    Mutant(
        "lost_answer_is_not_noted",
        "clinia_async/transport/sender.py",
        "maybe_applied = maybe_applied or failure.outcome is Outcome.UNKNOWN\n",
        "maybe_applied = maybe_applied and failure.outcome is Outcome.UNKNOWN\n",
        [
            "tests/session/test_reconciliation.py::test_a_lost_reply_leaves_one_relationship_and_a_right_answer"
        ],
    ),
    Mutant(
        "duplicate_without_a_lost_answer_is_ours",
        "clinia_async/transport/sender.py",
        "if maybe_applied and is_duplicate(failure, call):",
        "if is_duplicate(failure, call):",
        [
            "tests/session/test_reconciliation.py::test_already_exists_on_the_first_attempt_is_never_reconciled"
        ],
    ),
    Mutant(
        "differing_record_is_our_answer",
        "clinia_async/transport/sender.py",
        "        if back.match is Match.SAME:\n",
        "        if back.match is not Match.ABSENT:\n",
        ["tests/session/test_reconciliation.py::test_a_different_record_is_a_conflict"],
    ),
    Mutant(
        "write_without_a_key_is_repeated",
        "clinia_async/transport/sender.py",
        "if not may_be_repeated(failure, keyed=call.retry_safety is not RetrySafety.ONCE):",
        "if not may_be_repeated(failure, keyed=True):",
        ["tests/session/test_registry_api.py::test_what_may_not_be_repeated_is_sent_once"],
    ),
    Mutant(
        "unkeyed_lost_answer_may_be_repeated",
        "clinia_async/transport/retry.py",
        "return error.is_transient and (keyed or error.outcome in {Outcome.NOT_SENT, Outcome.REJECTED})",
        "return error.is_transient",
        ["tests/transport/test_retry.py::test_without_a_key_only_what_did_not_run_is_retried"],
    ),
    Mutant(
        "jitter_is_taken_off_retry_after",
        "clinia_async/transport/retry.py",
        "return error.retry_after + min(step, error.retry_after * RETRY_AFTER_JITTER)",
        "return step",
        ["tests/transport/test_retry.py::test_retry_after_is_the_least_wait"],
    ),
    Mutant(
        "retry_after_has_no_bound",
        "clinia_async/transport/retry.py",
        "return min(seconds, LONGEST_RETRY_AFTER) if",
        "return seconds if",
        ["tests/transport/test_retry.py::test_retry_after_is_the_least_wait"],
    ),
    Mutant(
        "retries_cost_no_budget",
        "clinia_async/transport/retry.py",
        "return (tokens - 1, True) if tokens >= 1 else (tokens, False)",
        "return (tokens, True)",
        ["tests/transport/test_retry.py::test_retries_stop_when_the_budget_is_spent"],
    ),
    Mutant(
        "every_redirect_is_rejected",
        "clinia_async/transport/responses.py",
        "outcome=Outcome.REJECTED if proven else Outcome.UNKNOWN",
        "outcome=Outcome.REJECTED",
        ["tests/transport/test_http_transport.py::test_what_brings_no_answer_to_rely_on_is_unknown"],
    ),
    Mutant(
        "redirects_are_followed",
        "clinia_async/transport/connections.py",
        "allow_redirects=False",
        "allow_redirects=True",
        ["tests/transport/test_http_transport.py::test_what_brings_no_answer_to_rely_on_is_unknown"],
    ),
    Mutant(
        "page_of_a_proxy_speaks_for_the_service",
        "clinia_async/transport/responses.py",
        "return info if is_typed or (info.code == answer.status and info.message is not None) else None",
        "return info",
        ["tests/transport/test_http_transport.py::test_what_brings_no_answer_to_rely_on_is_unknown"],
    ),
    Mutant(
        "untyped_envelope_of_another_status_counts",
        "clinia_async/transport/responses.py",
        "(info.code == answer.status and info.message is not None)",
        "(info.message is not None)",
        ["tests/transport/test_http_transport.py::test_what_brings_no_answer_to_rely_on_is_unknown"],
    ),
    Mutant(
        "server_error_is_rejected",
        "clinia_async/transport/responses.py",
        "is_refused = (status < 500 and status not in _MAY_BE_CARRIED_OUT) or status == HTTPStatus.NOT_IMPLEMENTED",
        "is_refused = True",
        ["tests/transport/test_http_transport.py::test_what_brings_no_answer_to_rely_on_is_unknown"],
    ),
    Mutant(
        "timeout_of_the_service_is_rejected",
        "clinia_async/transport/responses.py",
        "is_refused = (status < 500 and status not in _MAY_BE_CARRIED_OUT) or",
        "is_refused = (status < 500) or",
        ["tests/transport/test_http_transport.py::test_what_brings_no_answer_to_rely_on_is_unknown"],
    ),
    Mutant(
        "intermediary_refusal_is_proof",
        "clinia_async/transport/responses.py",
        "is_refused = status in _NOT_CARRIED_OUT\n",
        "is_refused = status < 500\n",
        ["tests/transport/test_http_transport.py::test_what_brings_no_answer_to_rely_on_is_unknown"],
    ),
    Mutant(
        "sent_request_counts_as_not_sent",
        "clinia_async/transport/responses.py",
        "aiohttp.ConnectionTimeoutError) or not sent",
        "aiohttp.ConnectionTimeoutError) or sent",
        ["tests/transport/test_http_transport.py::test_what_brings_no_answer_to_rely_on_is_unknown"],
    ),
    Mutant(
        "unread_data_is_taken_for_the_answer",
        "clinia_async/transport/connections.py",
        "    return protocol.should_close\n",
        "    return False\n",
        ["tests/transport/test_connections.py::test_a_connection_with_an_unread_answer_is_not_used_again"],
    ),
    Mutant(
        "key_stands_in_a_local_while_the_answer_is_waited_for",
        "clinia_async/transport/connections.py",
        "            protocol = _write(connection, _head(place, request, template[1], credentials), request.body)\n",
        "            head = _head(place, request, template[1], credentials)\n            protocol = _write(connection, head, request.body)\n",
        ["tests/session/test_secrecy_of_locals.py::test_no_frame_of_ours_holds_them_while_it_waits"],
    ),
    Mutant(
        "record_stands_in_a_local_while_the_answer_is_waited_for",
        "clinia_async/transport/connections.py",
        "        template = self._template(place.origin)\n        connection = await",
        "        template, body = self._template(place.origin), request.body\n        connection = await",
        ["tests/session/test_secrecy_of_locals.py::test_no_frame_of_ours_holds_them_while_it_waits"],
    ),
    Mutant(
        "key_stands_in_a_local_of_the_public_way",
        "clinia_async/transport/connections.py",
        "        _bytes_sent.set(sent)\n        return await self._client.request(",
        "        _bytes_sent.set(sent)\n        headers = self._headers(request.headers, credentials, everything=True)\n        return await self._client.request(",
        ["tests/session/test_secrecy_of_locals.py::test_no_frame_of_ours_holds_them_while_it_waits"],
    ),
    Mutant(
        "record_stands_in_a_local_of_the_sender",
        "clinia_async/transport/sender.py",
        "        request = call.request()\n        if slowest",
        "        request = call.request()\n        body = request.body\n        if slowest",
        ["tests/session/test_secrecy_of_locals.py::test_no_frame_of_ours_holds_them_while_it_waits"],
    ),
    Mutant(
        "cancel_keeps_the_frames_of_the_request",
        "clinia_async/transport/http_transport.py",
        "failure = asyncio.CancelledError(*error.args)",
        "failure = error",
        [
            "tests/session/test_secrecy_of_locals.py::test_no_traceback_of_a_call_that_is_ended_from_outside_holds_them"
        ],
    ),
    Mutant(
        "failure_has_the_foreign_error_as_its_context",
        "clinia_async/transport/http_transport.py",
        "            failure = failure_of(error, request, sent=sent.happened, host=host)\n        failure.__context__ = None\n",
        "            failure = failure_of(error, request, sent=sent.happened, host=host)\n            failure.__cause__ = error\n",
        ["tests/session/test_secrecy_of_locals.py::test_no_traceback_of_a_failure_holds_them"],
    ),
]
