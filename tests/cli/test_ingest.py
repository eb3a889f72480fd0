"""From a file to a report: counts, exit codes, dead letters, and what the emulator holds in the end."""

import errno
import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from clinia_async import DeadLetters, unescape_dots
from clinia_async.emulator import Accepted, Constant, Persisted, Unavailable
from tests.cli.program import DIRTY, MIXED, Cli, ended, line, start
from tests.cli.served import Served
from tests.cli.servers import SILENCE, Proxy, UnusualServer

CHECK_ADDRESS = "check --workspace or --base-url, and the network"


def _file(*lines: str, name: str = "relationships.ndjson") -> Path:
    path = Path(name)
    path.write_text("".join(lines))
    return path


def _dead_letters(path: Path | str) -> list[dict[str, object]]:
    return [json.loads(text) for text in Path(path).read_text().splitlines()]


def _count(report: dict[str, dict[str, int]], *dispositions: str) -> int:
    return sum(report["by_disposition"][each] for each in dispositions)


def test_everything_lands(cli: Cli, served: Served) -> None:
    ran = cli("ingest", _file(line("a"), "\n", line("b"), line("a")))
    assert (ran.code, ran.messages) == (0, [])
    assert ran.out.splitlines()[:6] == [
        "read                  3",
        "blank lines           1",
        "sent                  3",
        "persisted             0",
        "succeeded             2",
        "existing              1",
    ]
    assert served.holds() == 2
    assert not Path("relationships.dead.ndjson").exists()


def test_an_empty_file_is_fine(cli: Cli, served: Served) -> None:
    assert cli("ingest", _file()).code == 0


@pytest.mark.parametrize("via", ["single", "bulk"])
def test_a_dirty_file(via: str, cli: Cli, served: Served) -> None:
    ran = cli("ingest", DIRTY, "--via", via, "--json")
    assert ran.code == 1
    report = ran.json
    assert (report["read"], report["blank"], report["sent"]) == (990, 10, 941)
    assert (report["completed"], report["landed"]) == (990, 941)
    assert _count(report, "invalid") == 49
    assert _count(report, "persisted", "succeeded", "existing") == 941
    assert served.holds() == _count(report, "persisted", "succeeded")
    assert report["complete"] is True
    assert report["stopped_by"] is None
    assert report["records_per_second"] > 0 < report["seconds"]
    assert sum(reason["count"] for reason in report["reasons"]) == 49
    assert report["dead_letters"] == "dirty-1k.dead.ndjson"
    assert ran.messages == ["49 records that did not land are in dirty-1k.dead.ndjson"]
    assert len(_dead_letters("dirty-1k.dead.ndjson")) == 49
    assert Path("dirty-1k.dead.ndjson").stat().st_mode & 0o777 == 0o600


def test_with_an_emulator_of_its_own() -> None:
    ran = ended(start("ingest", DIRTY, "--source", "ehr-prod", "--emulator"))
    assert (ran.code, ran.messages) == (1, ["49 records that did not land are in dirty-1k.dead.ndjson"])
    persisted = next(row.split()[1] for row in ran.out.splitlines() if row.startswith("succeeded"))
    assert ran.out.splitlines()[-1] == f"the emulator holds {persisted} relationships"


def test_the_emulators_count_in_json(cli: Cli) -> None:
    ran = cli("ingest", _file(line("a"), line("b")), "--source", "s", "--emulator", "--json")
    assert (ran.code, ran.json["emulator_holds"], ran.json["landed"]) == (0, 2, 2)


def test_dots_are_refused_or_escaped(cli: Cli, served: Served) -> None:
    path = _file(line("A00.1_x", "org.1"), line("plain"))
    refused = cli("ingest", path, "--json")
    assert (refused.code, _count(refused.json, "invalid"), served.holds()) == (1, 1, 1)
    escaped = cli("ingest", "relationships.dead.ndjson", "--dots", "escape", "--json")
    assert (escaped.code, escaped.json["landed"], served.holds()) == (0, 1, 2)
    ids = served.ask(lambda emulator: {stored.id for stored in emulator.stored()})
    assert ids == {"A00_2E1_5Fx.org_2E1", "plain.org-1"}
    assert unescape_dots("A00_2E1_5Fx") == "A00.1_x"


def test_a_mixed_file_with_dots(cli: Cli, served: Served) -> None:
    assert _count(cli("ingest", MIXED, "--json").json, "invalid") == 120
    report = cli("ingest", MIXED, "--json", "--source", "another", "--dots", "escape").json
    assert (report["read"], _count(report, "invalid")) == (1000, 0)


def test_dead_letters_can_be_fed_back_in(cli: Cli, served: Served) -> None:
    served.emulator.faults.add(Unavailable(route="bulk_relationships"))
    path = _file(
        *(line(f"prac-{number}") for number in range(20)), '{"type": "no more"}\n', name="a.ndjson.gz"
    )
    given_up = cli("ingest", path, "--patience", "0.1", "--timeout", "0.5", "--json")
    assert given_up.code == 4
    assert given_up.json["complete"] is False
    assert given_up.json["stopped_by"].startswith("no good answer")
    assert given_up.messages[-1].startswith("error: no good answer")
    assert (given_up.json["landed"], _count(given_up.json, "invalid")) == (0, 1)
    assert len(_dead_letters("a.dead.ndjson")) == 21
    served.emulator.faults.clear()
    again = cli("ingest", "a.dead.ndjson", "--json")
    assert (again.code, again.json["landed"], served.holds()) == (1, 20, 20)
    assert len(_dead_letters("a.retry.dead.ndjson")) == 1


@pytest.mark.parametrize("patience", ["1e-9", "60"])
def test_a_record_is_not_retried_beyond_the_patience_of_its_job(
    patience: str, cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retries of the session come before those of the job, and whatever the variable says of them."""
    monkeypatch.setenv("CLINIA_RETRY_PATIENCE", "60")
    monkeypatch.setenv("CLINIA_RETRY_THROTTLED_BASE", "0.01")
    served.emulator.faults.add(Unavailable(route="create_relationship", times=2))
    ran = cli("ingest", _file(line("a")), "--via", "single", "--patience", patience)
    is_stored = served.arrivals["create_relationship"] == 3
    assert (ran.code, is_stored) == ((4, False) if patience == "1e-9" else (0, True))


def test_standard_input() -> None:
    ran = ended(
        start("ingest", "-", "--source", "s", "--emulator", stdin=subprocess.PIPE), DIRTY.read_bytes()
    )
    assert ran.code == 1
    assert ran.out.startswith("read                990\n")
    assert len(_dead_letters("stdin.dead.ndjson")) == 49


def test_standard_input_from_a_file_and_gzipped() -> None:
    Path("packed").write_bytes(gzip.compress(DIRTY.read_bytes()))
    with Path("packed").open("rb") as packed:
        ran = ended(start("ingest", "-", "--source", "s", "--emulator", "--json", stdin=packed))
    assert (ran.code, ran.json["read"], ran.json["landed"]) == (1, 990, 941)


def test_standard_input_that_is_closed() -> None:
    ran = ended(start("ingest", "-", "--source", "s", "--emulator", preexec_fn=_close_standard_input))
    assert (ran.code, ran.messages) == (2, ["error: standard input is closed: name a file"])


def _close_standard_input() -> None:
    os.close(0)


def test_a_gzipped_file(cli: Cli, served: Served) -> None:
    Path("dirty.ndjson.gz").write_bytes(gzip.compress(DIRTY.read_bytes()))
    ran = cli("ingest", "dirty.ndjson.gz", "--json")
    assert (ran.code, ran.json["read"], ran.json["landed"]) == (1, 990, 941)
    assert ran.json["dead_letters"] == "dirty.dead.ndjson"


def test_a_damaged_file_is_sent_as_far_as_it_can_be_read(cli: Cli, served: Served) -> None:
    text = "".join(line(f"prac-{number}", data={"n": number}) for number in range(2000)).encode()
    Path("cut.ndjson.gz").write_bytes(gzip.compress(text)[:-2000])
    ran = cli("ingest", "cut.ndjson.gz", "--chunk-operations", "100", "--json")
    assert ran.code == 2
    assert ran.messages[-1] == "error: the input is a damaged archive or cannot be read to its end"
    report = ran.json
    assert report["complete"] is False
    assert 0 < report["landed"] == report["completed"] - _count(report, "invalid") == served.holds()


def test_another_record_is_there(cli: Cli, served: Served) -> None:
    before, after = _file(line("a", data={"n": 1}), name="b"), _file(line("a", data={"n": 2}), name="a")
    assert cli("ingest", before).code == 0
    for policy, code, disposition in (("compare", 1, "failed"), ("keep", 0, "kept"), ("fail", 1, "failed")):
        ran = cli("ingest", after, "--on-existing", policy, "--json")
        assert (ran.code, _count(ran.json, disposition)) == (code, 1)
    assert cli("ingest", before, "--on-existing", "compare").code == 0
    assert cli("ingest", before, "--on-existing", "fail").code == 1


def test_sizes_of_chunks_and_workers(cli: Cli, served: Served) -> None:
    path = _file(*(line(f"prac-{number}") for number in range(20)))
    assert cli("ingest", path, "--chunk-operations", "5", "--workers", "1").code == 0
    assert served.arrivals["bulk_relationships"] == 4
    assert cli("ingest", path, "--chunk-bytes", "1", "--workers", "2", "--source", "another").code == 0
    assert served.arrivals["bulk_relationships"] == 24
    assert cli("ingest", path, "--via", "single", "--workers", "3", "--source", "third").code == 0
    assert served.arrivals["create_relationship"] == 20


def test_a_wrong_key_stops_it(cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", "a-wrong-key")
    for via in ("single", "bulk"):
        ran = cli("ingest", _file(line("a"), line("b")), "--via", via, "--json")
        assert (ran.code, _count(ran.json, "unsent")) == (3, 2)
        assert ran.json["stopped_by"] == "the service refused the key"
        problem = "error: the service refused the key; check the key: CLINIA_API_KEY or --api-key-file, and"
        assert ran.messages[-1].startswith(problem)
        assert not Path("relationships.dead.ndjson").exists()
        assert "a-wrong-key" not in ran.out + ran.err


@pytest.mark.usefixtures("nothing_listens")
def test_a_host_that_cannot_be_reached_ends_it_before_anything_is_sent(cli: Cli) -> None:
    ran = cli("ingest", _file(line("a")), "--json", "--journal", "j.db", "--report", "r.json")
    assert (ran.code, ran.json["read"], ran.json["sent"]) == (4, 0, 0)
    assert ran.json["stopped_by"].startswith("cannot connect to 127.0.0.1:")
    assert ran.json["stopped_by"].endswith(": Connection refused; nothing was sent")
    assert ran.messages == [f"error: {ran.json['stopped_by']}; {CHECK_ADDRESS}"]
    assert json.loads(Path("r.json").read_text())["stopped_by"] == ran.json["stopped_by"]
    assert not Path("j.db").exists()


def test_behind_a_proxy_the_proxy_has_to_be_reached(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", "key")
    monkeypatch.setenv("CLINIA_PROXY", "http://127.0.0.1:1")
    ran = cli("ingest", _file(line("a")), "--source", "s", "--base-url", "https://nowhere.invalid")
    assert ran.code == 4
    problem = "error: cannot connect to the proxy 127.0.0.1:1: Connection refused; nothing was sent"
    assert ran.messages == [f"{problem}; check CLINIA_PROXY, and what the proxy lets through"]


def test_a_whole_job_goes_through_the_proxy(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv("CLINIA_PROXY", proxy.url)
        assert cli("ingest", _file(line("a"), line("b"))).code == 0
        assert served.holds() == 2
        assert len(proxy.requests) == served.arrivals.total()
        assert all(head.split()[1].startswith(served.url.encode()) for head in proxy.requests)


def test_a_host_that_says_nothing_is_given_up_within_seconds(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that takes the connection and answers nothing is as a host behind a firewall."""
    monkeypatch.setattr("clinia_async.cli.runs.source_checks._TIMEOUT", 0.1)
    monkeypatch.setattr("clinia_async.cli.runs.source_checks._PAUSE", 0.0)
    monkeypatch.setenv("CLINIA_API_KEY", "key")
    with UnusualServer(lambda _: SILENCE) as server:
        monkeypatch.setenv("CLINIA_PROXY", server.url)
        ran = cli("ingest", _file(line("a")), "--source", "s", "--base-url", "https://nowhere.invalid")
    problem = "no connection to nowhere.invalid in time (3 attempts of 0 s); nothing was sent"
    assert (ran.code, ran.messages) == (4, [f"error: {problem}; {CHECK_ADDRESS}"])


def test_a_host_whose_name_does_not_resolve_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", "key")
    ran = cli("ingest", _file(line("a")), "--source", "s", "--base-url", "https://nowhere.invalid")
    assert ran.code == 4
    problem = "error: the host name nowhere.invalid does not resolve; nothing was sent"
    assert ran.messages == [f"{problem}; {CHECK_ADDRESS}"]
    assert "sent                  0" in ran.out.splitlines()


def test_the_key_and_the_records_are_not_shown(cli: Cli, served: Served) -> None:
    path = _file(line("private-1", data={"n": 1}), line("private-1", data={"n": 2}), line("private.2"))
    served.emulator.default = Accepted(Constant(0.0))
    for via in ("single", "bulk"):
        ran = cli("ingest", path, "--via", via, "--source", via)
        assert ran.code == 1
        for secret in (served.key, "private"):
            assert secret not in ran.out + ran.err
    served.emulator.default = Persisted()


def test_the_file_that_is_read_is_never_written(cli: Cli, served: Served) -> None:
    text = "".join((line("a"), "wrong\n"))
    path = _file(text)
    Path("linked").hardlink_to(path)
    for dead_letters in (path, path.absolute(), "linked"):
        ran = cli("ingest", path, "--dead-letters", dead_letters)
        assert (ran.code, ran.out) == (2, "")
        assert len(ran.messages) == 1
    Path("relationships.dead.ndjson").hardlink_to(path)
    assert cli("ingest", path).code == 2
    assert path.read_text() == text
    assert not served.arrivals


def test_nor_is_it_where_it_comes_by_standard_input() -> None:
    path = _file("wrong\n")
    with path.open("rb") as stream:
        process = start("ingest", "-", "--source", "s", "--emulator", "--dead-letters", path, stdin=stream)
        assert ended(process).code == 2
    assert path.read_text() == "wrong\n"


def test_dead_letters_that_cannot_be_written(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(dead_letters: DeadLetters, outcome: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(DeadLetters, "add", full)
    ran = cli("ingest", _file("wrong\n", line("a")))
    assert ran.code == 2
    assert ran.out.startswith("read                  2\n")
    problem = "error: --dead-letters: the file cannot be written: No space left on device; name another"
    assert ran.messages[-1].startswith(problem)


@pytest.mark.parametrize(
    "arguments",
    [
        ("gone",),
        (".",),
        ("some", "--via", "carrier-pigeon"),
        ("some", "--workers", "0"),
        ("some", "--workers", "10001"),
        ("some", "--processes", "1001"),
        ("some", "--chunk-bytes", "0"),
        ("some", "--via", "single", "--chunk-operations", "5"),
        ("some", "--patience", "-1"),
        ("some", "--patience", "0"),
        ("some", "--dots", "keep"),
        ("some", "--source", "no source"),
        ("some", "--source", ""),
        ("some", "--dead-letters", "."),
        ("some", "--dead-letters", "no/such/folder"),
        ("some", "--dead-letters", "link"),
        ("some", "--emulator", "--base-url", "https://registry.example"),
        ("some", "--emulator", "--workspace", "acme"),
        ("-", "--api-key-file", "-"),
    ],
    ids=" ".join,
)
def test_wrong_options(arguments: tuple[str, ...], cli: Cli, served: Served) -> None:
    _file(line("a"), name="some")
    Path("link").symlink_to("some")
    ran = cli("ingest", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.messages[0].startswith("error: ")
    assert len(ran.messages) == 1
    assert not served.arrivals


def test_a_fault_of_ours_comes_after_the_report(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(dead_letters: DeadLetters, outcome: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(DeadLetters, "add", broken)
    with pytest.raises(ZeroDivisionError):
        cli("ingest", _file("wrong\n"))
    assert capfd.readouterr().out.startswith("read                  1\n")


def test_groups_of_the_report_name_their_first_lines(cli: Cli, served: Served) -> None:
    wrong = '{"type": "practises-at"}\n'
    path = _file(line("a"), *[wrong] * 7, line("a", data={"n": 1}), name="some")
    ran = cli("ingest", path)
    assert "          7 invalid: $.from: is required (lines 2, 3, 4, 5, 6, ...)" in ran.out.splitlines()
    assert [row for row in ran.out.splitlines() if row.endswith("(line 9)")]
    report = cli("ingest", path, "--json", "--source", "t").json
    assert [each["first_lines"] for each in report["reasons"]] == [[2, 3, 4, 5, 6], [9]]


@pytest.mark.parametrize("allowed", ["10", "5%"])
def test_too_many_errors_stop_it(allowed: str, cli: Cli, served: Served) -> None:
    path = _file(*[line("a") + "wrong\n"] * 50_000)
    ran = cli("ingest", path, "--max-errors", allowed, "--json", "--report", "r.json")
    assert ran.code == 1
    assert ran.json["stopped_by"] == f"more errors than --max-errors {allowed} allows"
    assert 0 < ran.json["by_disposition"]["invalid"] < 50_000
    assert json.loads(Path("r.json").read_text())["stopped_by"] == ran.json["stopped_by"]


def test_as_many_errors_as_allowed_do_not_stop_it(cli: Cli, served: Served) -> None:
    for allowed in ("49", "50%"):
        ran = cli("ingest", DIRTY, "--max-errors", allowed, "--json")
        assert (ran.code, ran.json["complete"]) == (1, True)


def test_the_report_file_has_the_settings_and_the_exit_code(cli: Cli, served: Served) -> None:
    Path("r.json").write_text("an earlier report")
    ran = cli("ingest", DIRTY, "--report", "r.json", "--json")
    report = json.loads(Path("r.json").read_text())
    assert report.items() >= ran.json.items()
    assert report["exit_code"] == ran.code == 1
    assert report["settings"]["via"] == "bulk"
    assert report["settings"]["files"] == [str(DIRTY)]
    assert served.key not in Path("r.json").read_text()


def test_a_report_that_cannot_be_written_is_an_error_after_the_run(cli: Cli, served: Served) -> None:
    ran = cli("ingest", _file(line("a")), "--report", "/dev/full", "--json")
    assert (ran.code, ran.json["landed"]) == (2, 1)
    assert ran.messages == [
        "error: --report: /dev/full cannot be written: No space left on device; name another file"
    ]


def test_a_copied_journal_is_resumed_only_where_the_command_says_so(cli: Cli, served: Served) -> None:
    path = _file(line("a"), line("b"))
    assert cli("ingest", path, "--journal", "j.db").code == 0
    shutil.copy("j.db", "copy.db")
    command = ("ingest", path, "--journal", "copy.db", "--json")
    refused = cli(*command)
    assert (refused.code, "the journal is a copy" in refused.err) == (2, True)
    resumed = cli(*command, "--journal-is-copy")
    assert (resumed.code, resumed.json["sent"], resumed.json["reported_before"]) == (0, 0, 2)


def test_an_emulator_with_a_journal_is_resumed(cli: Cli) -> None:
    path = _file(*(line(f"prac-{number}") for number in range(20)))
    command = ("ingest", path, "--source", "s", "--emulator", "--journal", "j.db", "--json")
    first = cli(*command)
    assert (first.code, first.json["emulator_holds"]) == (0, 20)
    again = cli(*command)
    assert (again.code, again.json["emulator_holds"], again.json["sent"]) == (0, 20, 0)
    assert again.json["reported_before"] == 20
    assert Path("j.db.emulator").exists()
