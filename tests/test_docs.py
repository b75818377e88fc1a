"""The pages are checked: paths, links, commands, targets and specs are real; figures have their command."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.cli import main, parser
from runners.settings import RunnerConfig
from runners.training.config import GrpoConfig, SftConfig
from tasks.common.errors import SpecError
from tasks.common.parse import Spec, parse
from tasks.spec import TaskSpec, shipped

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [
    *sorted(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"),
    *sorted((ROOT / "docs").glob("**/*.md")),
]
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
            fences = [i for i in range(first) if lines[i].startswith("```")]
            top = fences[-1] if len(fences) % 2 else first  # of the block that it is in
            yield first + 1, "\n".join(lines[max(top - NEAR, 0) : last + NEAR])


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


def test_every_harness_command_of_a_workflow_parses() -> None:
    """Workflows stand in ```yaml blocks, where commands do not begin a line."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            jobs = (yaml.safe_load(block) or {}).get("jobs", {})
            steps = [step for job in jobs.values() for step in job["steps"]]
            found += [step["run"] for step in steps if step.get("run", "").startswith("harness ")]
    lines = [shlex.split(run.partition(">>")[0])[1:] for run in found]
    assert [line for line in lines if not parses(line)] == []
    assert any("--fail-if" in line for line in lines)


SETUP = ". .venv/bin/activate"
LONG = {"demo", "sample", "train"}
"""Verbs that take minutes: other tests run them, smaller."""


def runs_here(arguments: list[str]) -> bool:
    """Whether a command needs neither data nor a network, nor files that only a reader has."""
    words = [word for word in arguments[1:] if not word.startswith("--")]
    foreign = [word for word in words if re.search(r"[/:]|\.\w+$|^[A-Z]+$", word) or word.startswith("demo")]
    return arguments[0] not in LONG and not foreign and not {"spider", "bird", "geoquery", "get"} & set(words)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_commands_of_the_readme_that_need_nothing_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which they stand, evaluations cut to 20 questions."""
    found = [words for words in commands(README.read_text(encoding="utf-8"), "harness") if runs_here(words)]
    for words in found:
        less = ["--limit", "20"] if words[0] == "eval" else []
        assert main([*words, *less]) == 0, words
    verbs = ["check", "eval", "eval", "board", "compare", "show", "rerun", "runs", "tasks", "doctor"]
    assert [words[0] for words in found] == verbs
    assert "gold" in capsys.readouterr().out


def test_the_first_command_to_measure_needs_no_data() -> None:
    (measure,) = (block for block in blocks(README.read_text(encoding="utf-8")) if SETUP in block)
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


def test_every_file_of_a_shipped_task_is_named() -> None:
    page = (ROOT / "docs" / "how-to" / "benchmarks.md").read_text(encoding="utf-8")
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
                    assert f"`{path}`" in page, path


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
        if name.startswith(("-", "/", "pip", "pytest", "venv", "verl/")):
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


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)", prose, re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def links(text: str) -> Iterator[tuple[str, str]]:
    """(file or "", anchor or "") of every link to this repository, pictures included."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", prose) + re.findall(
        r'(?:src|href)="(?!\w+:)([^"]+)"', prose
    ):
        file, _, anchor = target.partition("#")
        yield file, anchor


def broken(page: Path, text: str) -> Iterator[str]:
    """Links of a page that lead nowhere."""
    for file, anchor in links(text):
        target = (page.parent / file).resolve() if file else page
        if not target.exists():
            yield file
        elif anchor and anchor not in anchors(text if target == page else target.read_text(encoding="utf-8")):
            yield f"{file}#{anchor}"


@pages
def test_every_link_and_anchor_resolves(page: Path) -> None:
    assert list(broken(page, page.read_text(encoding="utf-8"))) == []


def test_every_page_is_reachable_from_the_readme() -> None:
    found, waiting = {README}, [README]
    while waiting:
        page = waiting.pop()
        targets = {
            (page.parent / file).resolve() for file, _ in links(page.read_text(encoding="utf-8")) if file
        }
        new = {target for target in targets if target.suffix == ".md" and target.is_file()} - found
        found |= new
        waiting += new
    assert set(PAGES) - found == set()


def test_the_readme_has_at_most_120_lines() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


def specs(text: str) -> Iterator[dict[str, object]]:
    """The YAML blocks of a page that are a task spec, or some of its sections."""
    for block in re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S):
        data = yaml.safe_load(block)
        if isinstance(data, dict) and data.keys() <= TaskSpec.model_fields.keys():
            yield data


SMALLEST = {"name": "smallest", "dataset": {"path": "{split}.jsonl", "splits": {"dev": "dev"}}}


@pages
def test_every_spec_validates(page: Path) -> None:
    for data in specs(page.read_text(encoding="utf-8")):
        parse(TaskSpec, {**SMALLEST, **data})


def test_a_wrong_spec_is_found() -> None:
    (data,) = specs("```yaml\nscoring: {rewards: gated}\n```\n```yaml\nmachine: {memory: 24}\n```")
    with pytest.raises(SpecError, match="did you mean 'reward'"):
        parse(TaskSpec, {**SMALLEST, **data})


def settings(text: str) -> Iterator[str]:
    """The ``KEY=VALUE`` of every ``--set`` in code blocks and in prose."""
    for found in re.findall(r"--set (?:'([^']*)'|([\w.]+=[^\s`]*))", text):
        yield "".join(found)


SECTIONS: dict[str, list[type[Spec]]] = {
    "runner": [RunnerConfig],
    "sft": [SftConfig],
    "grpo": [GrpoConfig],
    "train": [SftConfig, GrpoConfig],
}


def set_of(setting: str) -> None:
    """Parse one ``--set`` as the command line does. Raises SpecError."""
    section, _, rest = setting.partition(".")
    kinds = {
        "runner": [RunnerConfig],
        "sft": [SftConfig],
        "grpo": [GrpoConfig],
        "train": [SftConfig, GrpoConfig],
    }
    kinds = kinds.get(section, [])
    errors = []
    for kind in kinds:
        try:
            parse(kind, {}, [rest])
            return
        except SpecError as error:
            errors.append(error)
    if errors:
        raise errors[-1]
    parse(TaskSpec, SMALLEST, [setting])


@pages
def test_every_set_option_is_one(page: Path) -> None:
    for setting in settings(page.read_text(encoding="utf-8")):
        if not re.search(r"=\.\.\.$|\b(KEY|NAME|VALUE|KIND)\b", setting):
            set_of(setting)


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


def entries(text: str) -> list[tuple[str, str]]:
    """(file, function, class or Class.method) of every `file.py: name` on a page."""
    return re.findall(r"`([\w/]+\.py): ([\w.]+)`", text)


def defined(source: str) -> set[str]:
    """Names of the functions and classes of a file, methods as ``Class.method``."""
    tree = ast.parse(source)
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    names = {node.name for node in tree.body if isinstance(node, kinds)}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return names | {
        f"{one.name}.{node.name}" for one in classes for node in one.body if isinstance(node, kinds)
    }


def wrong(text: str) -> list[str]:
    """Entries of a page that name no function of an existing file."""
    return [
        f"{file}: {name}"
        for file, name in entries(text)
        if not (ROOT / file).is_file() or name not in defined((ROOT / file).read_text(encoding="utf-8"))
    ]


@pages
def test_every_function_that_a_page_names_exists(page: Path) -> None:
    assert wrong(page.read_text(encoding="utf-8")) == []


QUESTIONS = (
    "Where is a LIMIT tie decided?",
    "Where is a group's advantage computed?",
    "Where is a prompt rendered?",
    "Where is a worker killed?",
    "Where is a run written?",
)


def test_contributing_answers_where_things_are() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for question in QUESTIONS:
        (line,) = [line for line in text.splitlines() if question in line]
        assert entries(line), question


def test_a_function_that_does_not_exist_is_found() -> None:
    text = "`tasks/prompts.py: messages`, `tasks/prompts.py: nothing`, `tasks/none.py: messages`"
    assert wrong(text) == ["tasks/prompts.py: nothing", "tasks/none.py: messages"]
