"""Errors: a tree, an outcome for each, and copies that keep everything but the traceback."""

import copy
import enum
import inspect
import pickle
from collections.abc import Iterator

import pytest

import clinia_async
from clinia_async import (
    ApiError,
    CliniaError,
    ConfigError,
    ConnectionFailed,
    CredentialsFailed,
    DecodeError,
    ErrorInfo,
    ErrorType,
    GatewayError,
    GatherError,
    InvalidWrite,
    Outcome,
    ProtocolError,
    RedirectRefused,
    RequestError,
    RequestTimeout,
    SessionClosed,
    TaskCancelled,
    TaskDropped,
    TaskError,
    TaskFailed,
    TaskId,
    TaskPollError,
    TaskStatus,
    TaskTimeout,
    TaskUnconfirmed,
    WriteConflict,
    errors,
    models,
)
from clinia_async.errors import copy_for_raise

INFO = ErrorInfo(ErrorType.INTERNAL, 500, "words", (ErrorInfo(code=1),))


def of_a_task(kind: type[TaskError]) -> TaskError:
    return kind(
        "text", id=TaskId("bk_1"), state=TaskStatus.FAILURE, token='{"v":1}', outcome=Outcome.REJECTED
    )


def samples() -> Iterator[CliniaError]:
    yield ConfigError("text")
    yield InvalidWrite("$.from.id", "rule")
    yield SessionClosed("text", outcome=Outcome.UNKNOWN, token="{}")
    yield RequestError("text", outcome=Outcome.REJECTED, retry_after=3.0)
    yield ConnectionFailed("text", outcome=Outcome.NOT_SENT, transient=False)
    yield CredentialsFailed("text")
    yield RequestTimeout("text", outcome=Outcome.NOT_SENT)
    yield RedirectRefused("text")
    yield ProtocolError("text", outcome=Outcome.DONE)
    yield DecodeError("$.a[0]", "a string")
    yield WriteConflict("text")
    for kind in (ApiError, GatewayError, *ApiError.by_type.values()):
        yield kind("text", status=409, info=INFO, outcome=Outcome.REJECTED, retry_after=1.0)
    for task in (TaskFailed, TaskCancelled, TaskDropped, TaskUnconfirmed, TaskTimeout, TaskPollError):
        yield of_a_task(task)
    yield GatherError("2 of 3 tasks failed", [of_a_task(TaskFailed), WriteConflict("text")])


SAMPLES = list(samples())


def test_the_samples_are_all_there_is() -> None:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, CliniaError)}
    assert kinds - {type(sample) for sample in SAMPLES} == {CliniaError, TaskError}
    assert all(hasattr(clinia_async, kind.__name__) for kind in kinds)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", ["fresh", "pickle", "copy", "deepcopy"])
def test_a_copy_keeps_everything(error: CliniaError, way: str) -> None:
    copied = {
        "fresh": copy_for_raise,
        "pickle": lambda error: pickle.loads(pickle.dumps(error)),
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
    }[way](error)
    assert copied is not error
    assert type(copied) is type(error)
    assert str(copied) == str(error) != ""
    assert repr(copied) == repr(error)
    assert repr(copied.args) == repr(error.args)
    assert copied.outcome is error.outcome
    assert dict(vars(copied).items()) == vars(error)
    assert copied.__traceback__ is None


def test_a_change_of_a_copy_stays_with_it() -> None:
    error = ConnectionFailed("text")
    copied = copy_for_raise(error)
    copied.outcome = Outcome.DONE
    copied.add_note("a note")
    assert error.outcome is Outcome.UNKNOWN
    assert not hasattr(error, "__notes__")
    noted = copy_for_raise(copied)
    noted.add_note("another")
    assert copied.__notes__ == ["a note"]


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (ConfigError, ValueError),
        (InvalidWrite, ValueError),
        (SessionClosed, RuntimeError),
        (ConnectionFailed, ConnectionError),
        (RequestTimeout, TimeoutError),
        (DecodeError, ValueError),
        (TaskTimeout, TimeoutError),
    ],
)
def test_errors_of_the_standard_library_catch_ours(kind: type[Exception], base: type[Exception]) -> None:
    assert issubclass(kind, base)
    assert issubclass(kind, CliniaError)


def test_one_class_for_each_documented_type() -> None:
    assert set(ApiError.by_type) == set(ErrorType)
    assert len(set(ApiError.by_type.values())) == len(ErrorType)


def test_no_task_error_is_a_cancelled_error() -> None:
    import asyncio

    assert not any(isinstance(error, asyncio.CancelledError) for error in SAMPLES)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_has_an_outcome(error: CliniaError) -> None:
    assert error.outcome in Outcome


def test_what_the_service_says_is_no_part_of_the_text() -> None:
    error = ApiError("POST /x: 500", status=500, info=INFO)
    assert (error.type, error.message, error.details) == (ErrorType.INTERNAL, "words", INFO.details)
    assert "words" not in str(error) + repr(error)


OPEN = [
    kind
    for _, kind in inspect.getmembers(models, inspect.isclass)
    if issubclass(kind, models.OpenEnum) and kind is not models.OpenEnum
]


@pytest.mark.parametrize("kind", OPEN)
def test_open_enums(kind: type[models.OpenEnum]) -> None:
    for text in [*kind, "SOMETHING_NEW", "", "é"]:
        value = kind(text)
        assert isinstance(value, kind)
        assert isinstance(value, str)
        assert value == text
        assert value.value == text
        assert hash(value) == hash(str(text))
        assert {text: 1}[value] == 1
        assert str(value) == text
        for copied in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
            assert copied == value
            assert type(copied) is kind
    assert kind("SOMETHING_NEW") not in list(kind)
    assert kind("SOMETHING_NEW") == kind("SOMETHING_NEW")
    with pytest.raises(ValueError, match=kind.__name__):
        kind(7)  # type: ignore[arg-type]


def test_an_unknown_status_is_not_terminal() -> None:
    assert not TaskStatus("QUEUED").is_terminal
    assert not TaskStatus("success").is_terminal
    assert {status for status in TaskStatus if status.is_terminal} == {"SUCCESS", "FAILURE", "CANCELLED"}
    assert issubclass(TaskStatus, enum.StrEnum)
