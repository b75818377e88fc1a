"""An untrusted task runs no code: not by its source, its reward or its template."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from harness.cli import main
from tasks import prompts
from tasks.common.errors import SpecError
from tasks.spec import PromptSpec, load, shipped
from tasks.types import Sample, Schema

MODULE = """
from pathlib import Path
Path({mark!r}).write_text("imported")
def rows(entry): return [{{"question": "q", "query": "SELECT 1", "db_id": "d", "ddl": "CREATE TABLE t(a)"}}]
def broken(entry): raise ValueError("no rows today")
def number(entry): return 7
class Reward:
    def __call__(self, attempt): raise ValueError("no reward today")
"""


@pytest.fixture
def place(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a module, a task that reads its rows from it, and one with its reward."""
    (tmp_path / "spec_code.py").write_text(MODULE.format(mark=str(tmp_path / "MARK")))
    fields = "splits: {train: a, dev: a}, fields: {ddl: ddl}"
    (tmp_path / "rows.yaml").write_text(
        f"name: mine\ndataset: {{source: python, path: 'spec_code:rows', {fields}}}\n"
    )
    (tmp_path / "rows.json").write_text(
        '[{"question": "q", "query": "SELECT 1", "db_id": "d", "ddl": "CREATE TABLE t(a)"}]'
    )
    (tmp_path / "reward.yaml").write_text(
        f"name: mine\ndataset: {{path: rows.json, {fields}}}\nscoring: {{reward: 'spec_code:Reward'}}\n"
    )
    (tmp_path / "answers.sql").write_text("SELECT 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(place: Path, line: str, *, code: str = "") -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, whose current folder is not on the module path."""
    start = f"import sys; {code}\nfrom harness.cli import main; sys.exit(main(sys.argv[1:]))"
    path = str(Path(__file__).parent.parent)
    return subprocess.run(
        [sys.executable, "-P", "-c", start, *line.split()],
        cwd=place,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


VERBS = [
    "check {task}",
    "eval --model gold --task {task}",
    "score answers.sql --task {task}",
    "train --task {task} --method sft --model nano --out out --no-eval",
    "train --task {task} --method grpo --model nano --out out --plan",
    "sample --task {task} --model gold --out own.jsonl",
    "ask --model nano --task {task} --set prompt.template=plain q",
    "export lm-eval --task {task} --out exported",
    "export prime-rl --task {task}",
]


@pytest.mark.parametrize("task", ["rows.yaml", "reward.yaml", "pocket --set scoring.reward=spec_code:Reward"])
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_runs_the_code_of_a_task(
    verb: str, task: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *rest = task.split()
    assert main([*verb.format(task=first).split(), *rest]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "would run the code 'spec_code:" in error and "--trust-task" in error
    assert not (place / "MARK").exists() and not (place / "out").exists()


def test_trusted_code_runs(place: Path) -> None:
    found = run(place, "check rows.yaml --trust-task")
    assert (found.returncode, (place / "MARK").exists()) == (0, True), found.stderr
    assert run(place, "export prime-rl --task rows.yaml --trust-task").stdout.count("trust = true") == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("check rows.yaml --trust-task --set dataset.path=spec_code:broken", "ValueError: no rows today"),
        ("check rows.yaml --trust-task --set dataset.path=spec_code:number", "must return a list"),
        ("check rows.yaml --trust-task --set dataset.path=spec_code:nosuch", "names nothing to import"),
        (
            "score answers.sql --task reward.yaml --trust-task",
            "spec_code:Reward raised ValueError: no reward",
        ),
        (
            "eval --model gold --task reward.yaml --trust-task",
            "spec_code:Reward raised ValueError: no reward",
        ),
    ],
)
def test_what_trusted_code_raises_is_one_line(line: str, message: str, place: Path) -> None:
    found = run(place, line)
    assert (found.returncode, "Traceback" in found.stderr) == (2, False), found.stderr
    assert message in found.stderr.strip().split("\n")[-1]


def test_the_current_folder_offers_no_modules_without_the_flag(place: Path) -> None:
    (place / "wandb.py").write_text(f"open({str(place / 'MARK')!r}, 'w')\n")
    code = "import importlib.util as u, atexit; atexit.register(lambda: print(u.find_spec('spec_code')))"
    assert run(place, "tasks --json", code=code).stdout.endswith("None\n")
    assert not (place / "MARK").exists()


@pytest.mark.parametrize(
    ("value", "reference", "allowed"),
    [
        ("offered.rewards:Mine", "offered.rewards:Mine", True),
        ("offered.rewards:Mine", "offered.rewards:Other", False),
        ("offered.rewards", "offered.rewards:Other", True),
        ("offered.rewards", "offered.rewards.inner:Other", False),
        ("offered", "offeredmore:Other", False),
    ],
)
def test_an_installed_package_offers_its_code(
    value: str, reference: str, allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "offered-1.0.dist-info"
    note.mkdir()
    (note / "METADATA").write_text("Metadata-Version: 2.1\nName: offered\nVersion: 1.0\n")
    (note / "entry_points.txt").write_text(f"[harness.tasks]\nmine = {value}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    if allowed:
        assert load("pocket", [f"scoring.reward={reference}"]).scoring.reward == reference
    else:
        with pytest.raises(SpecError, match=reference):
            load("pocket", [f"scoring.reward={reference}"])


@pytest.mark.parametrize("name", shipped())
def test_the_shipped_tasks_need_no_trust_nor_their_copies(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_text((Path(prompts.__file__).parent / f"{name}.yaml").read_text())
    assert load(str(copy)) == load(name)


GROWING = "{{% set n = namespace(x='ab') %}}{{% for i in range(99) %}}{{% set n.x = {} %}}{{% endfor %}}"
TEMPLATES = [
    ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
    ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "unsafe"),
    ("{{ 2 ** 10 ** 9 }}", "too large"),
    ("{{ 'a' * 1000000000 }}", "too large"),
    ("{% for i in range(1000000000) %}x{% endfor %}", "[Rr]ange too big"),
    (
        "{% for i in range(9999) %}{% for j in range(99999) %}{{ question * 999 }}{% endfor %}{% endfor %}",
        "more",
    ),
    ("{% include '/etc/passwd' %}", "no such file beside it"),
    ("{% import 'os' as os %}", "no such file beside it"),
    ("{{ 1 / 0 }}", "division by zero"),
    ("{{ question.nosuch }}", "nosuch"),
    ("{{ question | nosuch }}", "nosuch"),
    (
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "more than 5 seconds",
    ),
    (
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "5 seconds",
    ),
    ("{% for x in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}", "seconds|recursion"),
    (GROWING.format("n.x ~ n.x"), "more than"),
    (GROWING.format("n.x + n.x"), "too large"),
    (GROWING.format("n.x | list + n.x | list"), "too large"),
    ("{{ '%1000000000d' % 1 }}", "too large"),
    ("{{ '{:1000000000}'.format(1) }}", "too large"),
    ("{{ question.ljust(1000000000) }}", "too large"),
    ("{{ question | center(1000000000) }}", "No filter named 'center'"),
    ("{{ lipsum(n=1000000000) }}", "lipsum"),
    ("{{ ['a' * 100] * 1000 * 1000 }}", "too large"),
    ("{{ [['a' * 100] * 1000] * 1000 }}", "too large"),
    ("{{ [{'a': 'a' * 100}] * 1000 * 1000 }}", "too large"),
    (GROWING.format("[n.x, n.x]") + "{{ n.x }}", "more than"),
    (GROWING.format("{'a': n.x, 'b': n.x}") + "{{ n.x }}", "more than"),
    (GROWING.format("dict(a=n.x, b=n.x)") + "{{ n.x }}", "more than"),
]


def test_a_long_question_is_shown_whole() -> None:
    long = "word " * (4 * 2**20)
    for template in ("plain", "cot"):
        spec, sample = PromptSpec(template=template), Sample("1", long, "d", ("S",))
        assert long.strip() in prompts.messages(spec, "sqlite", Schema(()), sample)[-1]["content"]


@pytest.mark.parametrize(("text", "message"), TEMPLATES)
def test_a_template_reaches_nothing_but_its_variables(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.jinja"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        prompts.messages(PromptSpec(template=str(path)), "sqlite", Schema(()), Sample("1", "q", "d", ("S",)))
    assert "\n" not in str(caught.value)


def test_a_template_may_still_count_join_and_loop(tmp_path: Path) -> None:
    path = tmp_path / "kind.jinja"
    path.write_text(
        "{% for x in ['a', 'b'] %}{{ loop.index }}/{{ loop.length }}{{ x ~ question ~ 1 }}"
        "{{ ', ' if not loop.last }}{% endfor %}{% for k, v in {'p': 1}.items() %} {{ k }}={{ v + 7 % 4 }}"
        "{% else %}none{% endfor %} {{ [1, 2] | join('-') }}"
    )
    (asked,) = prompts.messages(
        PromptSpec(template=str(path)), "sqlite", Schema(()), Sample("1", "q", "d", ("S",))
    )
    assert asked["content"] == "1/2aq1, 2/2bq1 p=4 1-2"


SPECS = {
    "aliases": "a: &a [x]\n"
    + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in pairwise("abcdefghijkl")),
    "merges": "a: &a {x: 1}\n"
    + "".join(f"{b}: &{b} {{<<: [{', '.join(['*' + a] * 10)}]}}\n" for a, b in pairwise("abcdefghijkl")),
    "a list within itself": "name: &a [*a]\n",
    "brackets": "name: " + "[" * 50_000,
    "no date": "name: 2020-13-45\n",
    "a long number": "version: 0x" + "f" * 100_000,
    "a date as a key": "2020-01-01: 1\n",
    "python": "name: !!python/object/apply:os.system ['id']\n",
    "long": "name: '" + "x" * 2**21 + "'\n",
}


@pytest.mark.parametrize("kind", SPECS)
def test_a_hostile_spec_is_one_line_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "task.yaml"
    path.write_text(SPECS[kind])
    with pytest.raises(SpecError, match=re.escape(str(path))) as caught:
        load(str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    if kind != "long":
        with pytest.raises(SpecError):
            load(
                "pocket",
                [f"name={SPECS[kind].partition(': ')[2]}" if "\n" not in SPECS[kind][:-1] else SPECS[kind]],
            )


@pytest.mark.slow
def test_no_process_of_a_training_imports_from_the_current_folder(place: Path) -> None:
    for name in ("tasks", "harness", "json", "spec_code"):
        (place / f"{name}.py").write_text(f"open({str(place / 'MARK')!r}, 'w')\n")
    (place / "plain.yaml").write_text((place / "reward.yaml").read_text().partition("scoring")[0])
    line = "train --task plain.yaml --method sft --model nano --out out --limit 1 --no-eval --processes 2"
    run(place, f"{line} --set train.max_steps=1 --set train.batch_size=2")
    assert not (place / "MARK").exists()
    assert (place / "out" / "model").is_dir()
