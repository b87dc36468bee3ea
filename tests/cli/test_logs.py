"""`function logs`: its lines, its filters, and following."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import click
import pytest

from calling import until
from cli.conftest import CONSOLE, Program, run_here
from fal_serverless.cli import logs, otel
from fal_serverless.cli.following import Following
from fal_serverless.cli.main import program as whole_program
from fal_serverless.cli.session import Session
from fal_serverless.errors import BadInput, Unreachable
from fal_serverless.models import LEVEL_RANK, LEVELS, LogEntry, LogQuery
from running import FUNCTIONS, RunningBackend, StartBackend

LINE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[(.{9})\] (.*)"


def entry(message: str, **fields: Any) -> LogEntry:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    return LogEntry(1, moment, fields.pop("level", "STDOUT"), "user", message, "1", **fields)


def test_a_line_has_local_time_and_the_level_in_nine_columns() -> None:
    local = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).astimezone()
    assert logs.render(entry("hi")) == f"{local:%Y-%m-%d %H:%M:%S}.678 [stdout   ] hi"
    assert "[warning  ] x" in logs.render(entry("x", level="WARNING"))


def test_each_line_of_a_message_is_a_line_of_its_own() -> None:
    assert [x.partition("] ")[2] for x in logs.render(entry("a\nb")).split("\n")] == ["a", "b"]


def moment(text: str) -> datetime:
    command = whole_program.commands["function"]
    ctx = click.Context(command)
    found = logs.moment(ctx, click.Option(["--since"]), text)
    assert found is not None
    return found


def test_since_takes_spans_and_times() -> None:
    now = datetime.now(UTC)
    for text, seconds in (("90s", 90), ("5m", 300), ("2h", 7200), ("3d", 3 * 86400)):
        assert abs(now - timedelta(seconds=seconds) - moment(text)) < timedelta(seconds=5)
    assert moment("2026-01-31T12:00:00Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert moment("2026-01-31T12:00:00+02:00") == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert moment("2026-01-31 12:00").tzinfo is UTC
    assert abs(now - timedelta(minutes=90) - moment("1h30m")) < timedelta(seconds=5)
    for text in ("soon", "", "5", "m", "-5m", "99999999999w", "0001-01-01T00:00:00+23:00"):
        with pytest.raises(click.BadParameter, match="neither like 5m"):
            moment(text)


@pytest.fixture
def called(program: Program) -> str:
    """An alias with three calls behind it."""
    program("function", "serve", FUNCTIONS / "texts.py", "call_text", "--alias", "logged")
    for text in ("one", "two", "three"):
        program("function", "invoke", "logged", "-d", json.dumps({"text": text}))
    return "logged"


def messages(text: str) -> list[str]:
    found = [re.fullmatch(LINE, line) for line in text.splitlines()]
    assert all(found), text
    return [match[2] for match in found if match]


def test_logs_are_the_newest_oldest_first(program: Program, called: str) -> None:
    ran = program("function", "logs", "--url", called, "--source", "user", "--lines", "2")
    assert messages(ran.out) == ["asked for two", "asked for three"]
    assert ran.err == ""


def test_url_is_taken_with_and_without_scheme_and_port(
    program: Program, called: str, backend: RunningBackend
) -> None:
    host = f"1-{called}.gateway.localhost"
    for url in (f"http://{host}:{backend.port}", f"{host}:{backend.port}", host, called):
        ran = program("function", "logs", "--url", url, "--search", "asked for t", "-n", "2")
        assert messages(ran.out) == ["asked for two", "asked for three"]


def test_filters_narrow(program: Program, called: str) -> None:
    assert program("fn", "logs", "--url", called, "--level", "error").out == ""
    only = program("fn", "logs", "--url", called, "--source", "request", "--since", "5m").out
    assert all("POST / 200" in message for message in messages(only))
    assert program("fn", "logs", "--url", called, "--until", "1h").out == ""
    revision = json.loads(program("alias", "history", called, "--json").out)[0]["to_revision"]
    assert "asked for" in program("fn", "logs", "--revision", revision[:10]).out


def test_json_is_one_object_a_line(program: Program, called: str) -> None:
    lines = program("fn", "logs", "--url", called, "--search", "asked", "--json").lines
    found = [json.loads(line) for line in lines]
    assert {item["alias"] for item in found} == {called}
    assert all(item["time"].endswith("Z") and item["request_id"] for item in found)


def test_nothing_found_is_said_on_stderr_with_code_0(program: Program, called: str) -> None:
    ran = program("function", "logs", "--search", "^no line is like this$")
    assert (ran.code, ran.out, ran.err) == (0, "", "No logs found\n")
    for url in ("nobody", f"1-{called}x.gateway.localhost"):
        ran = program("function", "logs", "--url", url)
        assert (ran.code, ran.out) == (0, "")
        assert ran.err == "No logs found, make sure you have the correct URL\n"


def test_a_revision_that_is_not_there_is_an_error(program: Program) -> None:
    ran = program("function", "logs", "--revision", "feed")
    assert (ran.code, ran.out) == (5, "") and "'feed'" in ran.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--search", "("), "'(' is not a regular expression: missing )"),
        (("--since", "soon"), "'soon' is neither like 5m, 1h30m or 3d nor like 2026-01-31T"),
        (("--lines", "-1"), "-1 is not in the range 0<=x<=100000"),
        (("--level", "loud"), "'TRACE', 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'STDOUT', 'STDERR'"),
        (("--source", "them"), "'builder', 'system', 'request', 'user'"),
        (("--url", "!!"), "'!!' names no endpoint; give a label like 'call'"),
        (("--since", "5m", "--until", "1h"), "--since is after --until"),
        (("-f", "--until", "1h"), "--follow goes on for ever"),
        (("--json", "--otel"), "choose one"),
    ],
)
def test_wrong_filters_are_usage_errors_that_say_what_is_right(
    alone: Program, args: tuple[str, ...], said: str
) -> None:
    ran = alone("function", "logs", *args)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert said in ran.err


def test_a_reader_that_goes_early_is_no_error(called: str, backend: RunningBackend) -> None:
    for follow in ("", " -f"):
        done = subprocess.run(
            ["bash", "-c", f'"{CONSOLE}" fn logs{follow} | head -1; echo "${{PIPESTATUS[0]}}"'],
            env=backend.env, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        line, code = done.stdout.splitlines()
        assert re.fullmatch(LINE, line) and (code, done.stderr) == ("0", "")


def test_a_full_disk_behind_its_output_is_said(called: str, backend: RunningBackend) -> None:
    for follow in ("", " -f"):
        done = subprocess.run(
            ["bash", "-c", f'"{CONSOLE}" fn logs --url {called}{follow} > /dev/full'],
            env=backend.env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        said = "Error: the output cannot be written: No space left on device\n"
        assert (done.returncode, done.stderr) == (1, said)


def test_opentelemetry_records_are_otlp_json(program: Program, called: str) -> None:
    ran = program("function", "logs", "--url", called, "--search", "for one", "-n", "1", "--otel")
    (data,) = map(json.loads, ran.lines)
    (plain,) = map(
        json.loads,
        program("fn", "logs", "--url", called, "--search", "for one", "-n", "1", "--json").lines,
    )
    (resource,) = data["resourceLogs"]
    (scope,) = resource["scopeLogs"]
    (record,) = scope["logRecords"]
    assert pairs(resource["resource"]) == {
        **dict.fromkeys(("service.name", "faas.name"), called),
        **dict.fromkeys(("service.version", "faas.version"), plain["revision"]),
        **dict.fromkeys(("service.instance.id", "faas.instance"), plain["worker"]),
    }
    assert pairs(record) == {
        "log.record.uid": str(plain["id"]),
        "log.iostream": "stdout",
        "faas.invocation_id": plain["request_id"],
        "fal.source": "user",
        "fal.alias": called,
        "fal.user": "1",
    }
    assert record["body"] == {"stringValue": "asked for one"}
    assert (record["severityNumber"], record["severityText"]) == (9, "INFO")
    whole, _, micros = plain["time"].removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
    assert record["timeUnixNano"] == f"{seconds}{micros or '0':0<6}000"


def pairs(holder: dict[str, Any]) -> dict[str, str]:
    return {item["key"]: item["value"]["stringValue"] for item in holder["attributes"]}


def test_every_level_has_a_severity_in_the_order_of_levels() -> None:
    numbers = [otel.SEVERITY[level][0] for level in sorted(LEVELS, key=LEVEL_RANK.__getitem__)]
    assert numbers == sorted(numbers) and len(otel.SEVERITY) == len(LEVELS)
    for level in LEVELS:
        record = otel.record(entry("x", level=level))
        assert ("log.iostream" in pairs(record)) == level.startswith("STD")


@pytest.mark.parametrize("option", ["--url", "--revision", "--request-id"])
def test_what_is_empty_is_not_everything(program: Program, option: str) -> None:
    """As in `--url "$URL"`, where there is no such variable."""
    ran = program("function", "logs", option, " ")
    assert (ran.code, ran.out) == (2, "")
    assert "it is empty; leave the option out for all" in ran.err


def test_a_revision_is_found_by_its_beginning_also_when_it_was_deleted(
    backend: RunningBackend, program: Program
) -> None:
    file = FUNCTIONS / "texts.py"
    served = run_here(backend.env, "fn", "serve", file, "call_text", "--alias", "by-its-beginning")
    beginning = re.findall("revision='(.{8})", served.out)[0]
    asked = ("function", "logs", "--revision", beginning, "--source", "system")
    until(lambda: "alias by-its-beginning points at" in program(*asked).out)  # it is kept soon
    run_here(backend.env, "fn", "delete", "by-its-beginning", "--yes")
    assert "alias by-its-beginning points at" in program(*asked).out
    ran = program("function", "logs", "--revision", "nosuch")
    assert (ran.code, ran.out) == (5, "") and "no revision 'nosuch'" in ran.err


def test_the_url_of_an_anonymous_function_leads_to_its_logs_also_when_it_was_deleted(
    backend: RunningBackend, program: Program
) -> None:
    served = run_here(backend.env, "fn", "serve", FUNCTIONS / "texts.py", "call_text")
    revision = re.findall("anonymous function '(.+)'", served.out)[0]
    url = served.lines[-1].removeprefix("URL: ")
    run_here(backend.env, "fn", "delete", revision, "--yes")
    until(lambda: f"revision {revision} deleted" in program("function", "logs", "--url", url).out)
    assert "is ready in" in program("function", "logs", "--url", url).out


@pytest.fixture
def own(backends: StartBackend, tmp_path: Path) -> RunningBackend:
    """A backend that may be killed."""
    return backends(tmp_path / "own")


@pytest.fixture
def following(own: RunningBackend) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [CONSOLE, "function", "logs", "--follow", "--source", "user"],
        env=own.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_following_goes_on_where_it_was_after_a_crash(
    own: RunningBackend, following: subprocess.Popen[str], backends: StartBackend
) -> None:
    assert following.stdout and following.stderr

    def call(text: str) -> None:
        run_here(own.env, "function", "invoke", "followed", "-d", json.dumps({"text": text}))

    assert following.stderr.readline() == "No logs found\n"
    run_here(own.env, "fn", "serve", FUNCTIONS / "texts.py", "call_text", "--alias", "followed")
    call("one")
    assert following.stdout.readline().endswith("asked for one\n")
    own.kill()
    assert following.stderr.readline() == "Lost the backend; trying again …\n"
    backends(own.home)
    assert re.fullmatch(r"Reconnected after \d+ s\.\n", following.stderr.readline())
    call("two")
    assert following.stdout.readline().endswith("asked for two\n")
    following.send_signal(signal.SIGINT)
    assert following.wait(timeout=20) == 130
    assert following.stdout.read() == "" and "Traceback" not in following.stderr.read()


def test_what_was_written_before_anything_was_seen_is_not_lost(
    own: RunningBackend, backends: StartBackend
) -> None:
    """A tail that loses the backend before its first entry."""
    run_here(own.env, "fn", "serve", FUNCTIONS / "texts.py", "call_text", "--alias", "missed")
    process = subprocess.Popen(
        [CONSOLE, "fn", "logs", "-f", "--source", "user", "--json"],
        env=own.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and process.stderr
    try:
        assert process.stderr.readline() == "No logs found\n"
        own.kill()
        assert "Lost" in process.stderr.readline()
        again = backends(own.home)
        for text in ("one", "two"):
            run_here(again.env, "fn", "invoke", "missed", "-d", json.dumps({"text": text}))
        found = [json.loads(process.stdout.readline())["message"] for _ in range(2)]
        assert found == ["asked for one", "asked for two"]
    finally:
        process.kill()
        process.communicate()


def test_following_an_endpoint_that_says_nothing_yet_tells_so(
    own: RunningBackend,
) -> None:
    process = subprocess.Popen(
        [CONSOLE, "fn", "logs", "-f", "--url", "nobody"],
        env=own.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "No logs found, make sure you have the correct URL\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


class Quiet:
    """A backend, and the way to it, whose entries match nothing, and which is lost once."""

    def __init__(self) -> None:
        self.asked: list[int | None] = []

    async def connect(self, *, start: bool = True) -> Quiet:
        return self

    async def __aenter__(self) -> Quiet:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def user(self) -> None:
        pass

    async def logs(self, query: LogQuery) -> list[LogEntry]:
        return []

    async def tail(
        self, query: LogQuery, *, reached: Callable[[int], object]
    ) -> AsyncGenerator[LogEntry, None]:
        self.asked.append(query.after)
        if len(self.asked) > 1:
            raise BadInput("enough")
        reached(60_000)
        raise Unreachable("lost")
        yield


async def test_a_tail_goes_on_after_what_it_looked_at_in_vain(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is removed of that meanwhile is not told of as missing."""
    quiet = Quiet()
    with pytest.raises(BadInput):
        await Following(cast(Session, quiet), LogQuery(), print, "nothing").run()
    assert quiet.asked == [0, 60_000]
