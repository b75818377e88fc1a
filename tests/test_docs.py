"""Docs that lie fail the build: paths, commands and make targets are real, figures have their command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.cli import main, parser
from tasks.spec import shipped

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
COMMAND = re.compile(r"\b(harness|make|python|pytest)\b \S")
NEAR = 12
"""Lines around a table of figures in which its command must stand."""


def blocks(text: str) -> Iterator[str]:
    """The contents of all fenced code blocks."""
    yield from re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)


def commands(text: str, program: str) -> Iterator[list[str]]:
    """The arguments of every call of a program in the code blocks, up to a comment or a redirection."""
    for block in blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            for call in re.split(r"\s(?:&&|;|\|)\s", re.sub(r"(^|\s)#.*", "", line)):
                found = re.match(rf"\s*(?:\$ )?(?:\w+=\S* )*{program}(?:\s(.*))?$", call)
                if found:
                    yield shlex.split(re.sub(r"\s\d?>.*", "", found[1] or ""))


def tree(text: str) -> Iterator[str]:
    """The paths in a drawn tree: a block in which folders stand as ``name/``, what they hold indented."""
    name = r"(?:[\w.*-]+/)*(?:[\w.*-]+/|[\w.*-]*\.\w+|Makefile|LICENSE)"
    for block in blocks(text):
        if not re.search(r"^[│├└─ ]*\w+/ ", block, re.M):
            continue
        parents: list[tuple[int, str]] = []
        for line in block.splitlines():
            found = re.match(rf"([│├└─\s]*)({name}(?:(?:, |\s+){name})*)(?=[ ,]|$)", line)
            if not found:
                continue
            indent = len(found[1])
            parents = [(depth, parent) for depth, parent in parents if depth < indent]
            paths = re.split(r"[,\s]+", found[2])
            yield from ("".join(parent for _, parent in parents) + path for path in paths)
            if paths[0].endswith("/"):
                parents.append((indent, paths[0]))


def named(text: str) -> Iterator[str]:
    """Paths of the repository in prose and links: `benchmarks/demo_seeds.py`, [docs](docs/tasks.md)."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    roots = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."))
    yield from re.findall(rf"`((?:{roots})/[\w./-]*)`", prose)
    yield from re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", prose)


def figures(text: str) -> Iterator[tuple[int, str]]:
    """(first line, nearby text) of every table with figures in it."""
    lines = text.splitlines()
    rows = [i for i, line in enumerate(lines) if line.startswith("|") or "─" * 20 in line]
    for first in (i for i in rows if i - 1 not in rows):
        last = next(i for i in range(first, len(lines) + 1) if i == len(lines) or not lines[i].strip())
        if re.search(r"\d[.,]\d|\d ?%", "\n".join(lines[first:last])):
            yield first + 1, "\n".join(lines[max(first - NEAR, 0) : last + NEAR])


def targets(makefile: str) -> set[str]:
    return set(re.findall(r"^([\w-]+):", makefile, re.M))


def parses(arguments: list[str]) -> bool:
    """Whether the command line is one that ``harness`` takes."""
    try:
        parser().parse_args(arguments)
    except SystemExit as end:
        return end.code == 0
    return True


def exists(path: str) -> bool:
    return any(ROOT.glob(path.rstrip("/"))) and (not path.endswith("/") or (ROOT / path).is_dir())


pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@pages
def test_every_path_in_a_tree_or_in_prose_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [path for path in tree(text) if not exists(path)] == []
    assert [path for path in named(text) if not (exists(path) or (page.parent / path).exists())] == []


@pages
def test_every_harness_command_parses(page: Path) -> None:
    found = commands(page.read_text(encoding="utf-8"), "harness")
    assert [" ".join(arguments) for arguments in found if not parses(arguments)] == []


SETUP = ". .venv/bin/activate"
LONG = {"demo", "sample", "train"}
"""Verbs that take minutes: other tests run them, smaller."""


def runs_here(arguments: list[str]) -> bool:
    """Whether a command needs neither data nor a network, nor files that only a reader has."""
    words = [word for word in arguments[1:] if not word.startswith("--")]
    foreign = [word for word in words if re.search(r"[/:]|\.\w+$|^[A-Z]+$", word) or word.startswith("demo")]
    return arguments[0] not in LONG and not foreign and not {"spider", "bird", "geoquery"} & set(words)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_commands_of_the_readme_that_need_nothing_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which they stand, evaluations cut to 20 questions."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = [words for words in commands(text, "harness") if runs_here(words)]
    for words in found:
        less = ["--limit", "20"] if words[0] == "eval" else []
        assert main([*words, *less]) == 0, words
    assert [words[0] for words in found] == ["check", "eval", "eval", "board", "compare", "show"]
    assert "gold" in capsys.readouterr().out


def test_the_first_command_to_measure_needs_no_data() -> None:
    (measure,) = (block for block in blocks((ROOT / "README.md").read_text()) if SETUP in block)
    first = next(words for words in commands(f"```\n{measure}```", "harness"))
    assert first == ["check", "pocket"]


@pytest.mark.slow
def test_python_in_the_docs_runs(home: Path) -> None:
    assert main(["eval", "--model", "gold", "--model", "nano", "--task", "pocket", "--limit", "20"]) == 0
    sources = [
        source
        for page in PAGES
        for source in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    ]
    assert sources
    for source in sources:
        exec(source, {})


def test_every_place_of_data_is_told() -> None:
    told = (ROOT / "docs" / "how-to" / "data.md").read_text(encoding="utf-8")
    for name in shipped():
        spec = yaml.safe_load((ROOT / "tasks" / f"{name}.yaml").read_text())
        for split in spec["dataset"]["splits"].values():
            places = [spec["dataset"].get("path", "").replace("{split}", split)]
            places += [
                value for key, value in spec.get("databases", {}).items() if key in ("path", "instances")
            ]
            for place in places:
                if place.startswith("${HARNESS_DATA}/"):
                    path = place.removeprefix("${HARNESS_DATA}/").replace("{database}", "NAME")
                    assert f"`{path}`" in told, path


@pages
def test_every_verb_named_in_prose_exists(page: Path) -> None:
    verbs = re.findall(r"`harness (\w+)", page.read_text(encoding="utf-8"))
    assert [verb for verb in verbs if not parses([verb, "--help"])] == []


@pages
def test_every_make_target_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = targets((ROOT / "Makefile").read_text(encoding="utf-8"))
    in_blocks = {word for words in commands(text, "make") for word in words if "=" not in word}
    assert (in_blocks | set(re.findall(r"`make ([\w-]+)", text))) - known == set()


@pages
def test_every_python_file_or_module_run_exists(page: Path) -> None:
    missing = []
    for words in commands(page.read_text(encoding="utf-8"), "python"):
        name = words[1].replace(".", "/") if words[0] == "-m" else words[0]
        if name.startswith(("-", "pip", "pytest", "venv")):
            continue
        if not any((ROOT / path).is_file() for path in (name, f"{name}.py", f"{name}/__main__.py")):
            missing.append(name)
    assert missing == []


@pages
def test_every_table_of_figures_has_its_command_beside_it(page: Path) -> None:
    if page.parent.name == "reference":
        return  # generated: tests/test_reference.py
    text = page.read_text(encoding="utf-8")
    assert [f"line {line}" for line, near in figures(text) if not COMMAND.search(near)] == []


def test_every_target_of_the_makefile_is_phony_or_a_file() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)", text, re.M)
    assert targets(text) == set(phony.split())


def test_every_variable_of_the_example_environment_has_its_line() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    names = [line.partition("=")[0] for line in lines if not line.startswith("#")]
    assert names == ["WANDB_API_KEY", "HF_TOKEN", "HF_HOME", "HARNESS_HOME", "HARNESS_DATA"]
    assert all(lines[lines.index(f"{name}=") - 1].startswith("# ") for name in names)


LIES = """\
```
harness/        the application
  cli.py          the verbs
  nowhere.py      is not there
tasks/
├── pocket/       the embedded task
│   └── ghost.py, haunt.py (all gone)
Makefile  README.md
```
See `benchmarks/none.py`, `make dance`, `harness fly` and [this](docs/none.md), not `../shared/data` or `~/x`.
```sh
$ HARNESS_HOME=/tmp harness eval --model nano --task pocket \\
    --limit 5 --json > out.json   # fine
harness eval --modell nano
harness board | head
make test && make sing
python benchmarks/none.py --fast
```
"""


def test_these_tests_catch_lies() -> None:
    missing = [path for path in tree(LIES) if not exists(path)]
    assert missing == ["harness/nowhere.py", "tasks/pocket/ghost.py", "tasks/pocket/haunt.py"]
    assert set(tree(LIES)) > {"harness/cli.py", "tasks/pocket/", "Makefile", "README.md"}
    assert list(named(LIES)) == ["benchmarks/none.py", "docs/none.md"]
    found = list(commands(LIES, "harness"))
    assert found[0] == ["eval", "--model", "nano", "--task", "pocket", "--limit", "5", "--json"]
    assert [parses(arguments) for arguments in found] == [True, False, True]
    assert list(commands(LIES, "make")) == [["test"], ["sing"]]
    assert list(commands(LIES, "python")) == [["benchmarks/none.py", "--fast"]]
    table = "| model | EX |\n|---|---|\n| nano | 20.1 % |\n"
    assert [bool(COMMAND.search(near)) for _, near in figures(table)] == [False]
    assert [bool(COMMAND.search(near)) for _, near in figures(f"`make demo` prints\n\n{table}")] == [True]
    assert list(figures("| model | means |\n|---|---|\n| nano | small |\n")) == []
