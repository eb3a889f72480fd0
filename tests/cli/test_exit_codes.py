"""One table: every error of the library has its exit code."""

import inspect
from collections.abc import Iterator

import pytest

import clinia_async as clinia
from clinia_async import errors
from clinia_async.cli.exit_codes import ExitCode, exit_code_of, report_error
from clinia_async.ingest.senders import retrying_session as service

TASK_ID = clinia.TaskId("s_1")


def _api(kind: type[clinia.ApiError], status: int, outcome: clinia.Outcome) -> clinia.ApiError:
    return kind("text", status=status, info=clinia.ErrorInfo(), outcome=outcome)


def _task(kind: type[clinia.TaskError]) -> clinia.TaskError:
    return kind("text", id=TASK_ID, state=clinia.TaskStatus.PENDING, token="{token}")


def _poll(status: int) -> clinia.TaskPollError:
    error = _task(clinia.TaskPollError)
    assert isinstance(error, clinia.TaskPollError)
    error.status = status
    return error


REJECTED, UNKNOWN = clinia.Outcome.REJECTED, clinia.Outcome.UNKNOWN
CODES: dict[ExitCode, list[clinia.CliniaError]] = {
    ExitCode.USAGE: [clinia.InputError("t"), clinia.ConfigError("t"), clinia.InvalidWrite("$", "rule")],
    ExitCode.FAILED: [
        clinia.WriteConflict("t"),
        clinia.SessionClosed("t"),
        _api(clinia.ApiError, 405, REJECTED),
        *(
            _api(kind, 400, REJECTED)
            for kind in (
                clinia.AlreadyExists,
                clinia.ContentTooLarge,
                clinia.FailedPrecondition,
                clinia.InvalidArgument,
                clinia.NotFound,
                clinia.OutOfRange,
                clinia.Unimplemented,
            )
        ),
    ],
    ExitCode.ACCESS: [
        clinia.AccessRefused("t"),
        _api(clinia.Unauthenticated, 401, REJECTED),
        _api(clinia.PermissionDenied, 403, REJECTED),
        _poll(401),
        _poll(403),
    ],
    ExitCode.NETWORK: [
        clinia.NetworkGivenUp("t"),
        clinia.RequestError("t"),
        clinia.ConnectionFailed("t"),
        clinia.CredentialsFailed("t"),
        clinia.RequestTimeout("t"),
        clinia.RedirectRefused("t"),
        clinia.ProtocolError("t"),
        clinia.DecodeError("$", "JSON"),
        _api(clinia.Internal, 500, UNKNOWN),
        _api(errors.GatewayError, 403, UNKNOWN),
        _api(clinia.ApiError, 429, REJECTED),
        _api(clinia.AlreadyExists, 409, UNKNOWN),
        _task(clinia.TaskTimeout),
        _poll(404),
    ],
    ExitCode.TASK: [
        _task(clinia.TaskError),
        _task(clinia.TaskFailed),
        _task(clinia.TaskCancelled),
        _task(clinia.TaskDropped),
        _task(clinia.TaskUnconfirmed),
        clinia.GatherError("t", [_task(clinia.TaskFailed), _task(clinia.TaskDropped)]),
    ],
}


@pytest.mark.parametrize(
    ("error", "code"), [(error, code) for code, errors_ in CODES.items() for error in errors_]
)
def test_an_error_has_its_code(error: clinia.CliniaError, code: ExitCode) -> None:
    assert exit_code_of(error) is code


def _all_errors() -> Iterator[type[clinia.CliniaError]]:
    for module in (errors, service):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, clinia.CliniaError):
                yield kind


def test_no_error_is_missing_above() -> None:
    above = {type(error) for errors_ in CODES.values() for error in errors_}
    bases = {clinia.CliniaError, service.JobStopped}
    assert set(_all_errors()) - above - bases == set()


def test_an_error_is_printed_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(clinia.ConfigError("two\nlines")) is ExitCode.USAGE
    assert capsys.readouterr() == ("", "error: two lines\n")


def test_a_refused_key_says_where_the_key_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(clinia.AccessRefused("the service refused the key")) is ExitCode.ACCESS
    text = capsys.readouterr().err
    said = "check the key: CLINIA_API_KEY or --api-key-file, and that it belongs to this workspace"
    assert text == f"error: the service refused the key; {said}\n"
