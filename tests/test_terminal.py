"""Text from elsewhere is printed visibly: no markup, no emoji, no control characters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_leaderboards_store import RUN, record

from harness.cli import main
from leaderboards import store
from leaderboards.summary import summary
from tasks.common.terminal import HOSTILE, one_line, say, visible

HOSTILE_TEXTS = [
    "[/nope]",
    "[bold red]x[/]",
    ":m: :smile: :warning:",
    "[link=http://x]y[/link]",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m\x85\x90x\x9c",
    "over\rwritten\b\b",
    "\u202eevil\u2066\u200f",
    "\ufeffbom \u2028 line",
    "\ud800 lone",
    "{name} %s \\ {{ 7 }}",
]
FORBIDDEN = {chr(code) for code in HOSTILE}
Capture = pytest.CaptureFixture[str]


def hidden(text: str) -> set[str]:
    """The characters of an output that may not be in it."""
    return set(text) & FORBIDDEN


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))


@pytest.fixture(params=HOSTILE_TEXTS)
def text(request: pytest.FixtureRequest) -> Iterator[str]:
    """A home with two runs in which every free text is hostile."""
    found: str = request.param
    given = {"sft": {"rows": 3, "sees": found}}
    run = replace(RUN, task=found, split=found, metric=found, scorer_version=found, parent=found)
    for name, right in (("one", 1), ("two", 0)):
        changed = replace(run, id=f"{name}-0000", model=f"{name} {found}", digest=name, training=given)
        with store.open_run(changed) as handle:
            for i in range(2):
                part = f"{found}{i}"
                texts = {"question": found, "sql": found, "gold": found, "detail": found, "part": part}
                more = {"completion": found, "difficulty": part, "database": part, "reason": found}
                handle.append([record(f"{i}{found}", metric=float(i < right), **texts, **more)])
            handle.finish(summary(list(handle.done.values())))
    with store.open_run(replace(run, id="half", digest="half")) as handle:
        handle.append([record("a")])
    yield found


def test_every_screen_shows_hostile_text_as_it_is(
    text: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    sample = f"0{text}".encode("utf-8", "replace").decode()
    shown = visible(text.encode("utf-8", "replace").decode()).split()[0][:6]
    lines = [["board", "--reasons"], ["compare", "one-0000", "two-0000"], ["show", "one-0000", sample]]
    for line in lines:
        assert main(line) == 0
        printed = capsys.readouterr()
        assert hidden(printed.out + printed.err) == set(), line
        assert shown in printed.out, line
        assert main([*line[:3], "--json"] if line[0] != "board" else ["board", "--json"]) == 0
        printed = capsys.readouterr()
        assert hidden(printed.out) == set() and json.loads(printed.out)


def test_the_list_of_runs_shows_hostile_text_as_it_is(text: str, capsys: Capture) -> None:
    for form in ([], ["--csv"], ["--markdown"], ["--json"]):
        assert main(["runs", *form]) == 0
        printed = capsys.readouterr()
        assert hidden(printed.out + printed.err) == set(), form
        if form in ([], ["--csv"]):
            assert visible(text).split()[0][:6] in printed.out, form


def test_messages_on_stderr_are_one_visible_line(text: str, capsys: Capture) -> None:
    for line in (["show", text, "1"], ["show", "one-0000", text], ["board", "--task", f"x{text}"], [text]):
        try:
            code = main(line)
        except SystemExit as left:
            code = int(left.code or 0)
        printed = capsys.readouterr()
        assert code == 2 and printed.err.count("\n") == 1
        assert hidden(printed.err) == set()


def test_a_hostile_folder_name_is_printed_visibly(text: str, tmp_path: Path, capsys: Capture) -> None:
    name = text.encode("utf-8", "replace").decode().replace("/", "_")
    (tmp_path / "runs" / f"x{name}").mkdir()
    assert main(["board"]) == 0
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and hidden(printed) == set() and printed.startswith("left out run x")


def test_one_line_and_say(capsys: Capture) -> None:
    assert one_line("a\n b\t\r\x1b") == "a b \u241b"
    say("x\ny\x9b")
    assert capsys.readouterr().err == "x y\ufffd\n"


@pytest.mark.parametrize(("width", "colour"), [("80", ""), ("40", "1")])
def test_narrow_terminals_and_no_color(width: str, colour: str, tmp_path: Path) -> None:
    with store.open_run(replace(RUN, model="m" * 90)) as handle:
        handle.append([record("a")])
        handle.finish(summary(list(handle.done.values())))
    environment = {"HARNESS_HOME": str(tmp_path), "COLUMNS": width, "NO_COLOR": colour, "TERM": "xterm"}
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "harness.cli", "board"]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr, "\x1b" in done.stdout) == (0, "", False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_unicode_gets_question_marks(encoding: str, tmp_path: Path) -> None:
    with store.open_run(replace(RUN, model="m\u202e \u65e5\u672c")) as handle:
        handle.append([record("a")])
        handle.finish(summary(list(handle.done.values())))
    environment = {"HARNESS_HOME": str(tmp_path), "PYTHONIOENCODING": encoding, "PATH": ""}
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "harness.cli", "board", "--reasons"]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"") and b"EX" in done.stdout


def test_no_home_directory_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("HARNESS_HOME", "~no-such-user/x")
    assert main(["board"]) == 2
    assert "set HARNESS_HOME to a folder" in capsys.readouterr().err
