"""The text of each reference page: explanations, and tables made from the types."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping

from pydantic import BaseModel

from harness.cli import parser
from harness.training.plan import RECIPES
from leaderboards.alarms import LIMITS
from leaderboards.types import Record, Run, Slice, Summary
from rewards.composite import SCORERS
from rewards.presets import MARGINS, PRESETS
from rewards.structure.constructs import CONSTRUCTS
from rewards.types import UNSCORED, Flag, Reason
from runners.settings import RunnerConfig
from runners.training.config import GrpoConfig, SftConfig, TrainingConfig
from tasks.prompts import TEMPLATES
from tasks.spec import TaskSpec, shipped
from tasks.types import Mode
from tools.reference import facts
from tools.reference import service as scoring_service
from tools.reference.members import columns, docstrings, grid, markdown, nested, settings, table

WRITTEN = "<!-- Written by `python -m tools.reference`; edit the docstrings or tools/reference instead. -->"


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", WRITTEN, *parts]) + "\n"


def _sections(owner: type[BaseModel], prefix: str = "") -> list[str]:
    """A heading, the docstring and the table of a section and of all sections in it."""
    parts = []
    for name, section in nested(owner, prefix):
        if name:
            parts.append(f"## `{name.rstrip('.')}`")
        parts += [_about(section), table(settings(section), name)]
    return parts


def _about(owner: type) -> str:
    return "\n\n".join(markdown(part) for part in (owner.__doc__ or "").split("\n\n"))


def _facts(head: str, known: Mapping[str, str]) -> str:
    return grid((head, "meaning"), [(f"`{name}`", text) for name, text in known.items()])


def task_spec() -> str:
    """Every key of a task's YAML file."""
    templates = ", ".join(f"`{path.stem}`" for path in sorted(TEMPLATES.glob("*.jinja")))
    return _page(
        "Task spec",
        "A task is one YAML file. `harness check FILE` validates it; an unknown key is an error that names the "
        "nearest known one. `--set KEY=VALUE` overrides any key for one command: `--set scoring.seconds=10`, "
        "`--set 'dataset.splits={dev: dev.jsonl}'`.\n\n"
        f"Shipped tasks: {', '.join(f'`{name}`' for name in shipped())}. Shipped prompt templates: {templates}. "
        "[How to describe your own data](../how-to/data.md) has examples.",
        "## Paths",
        "- A relative path is relative to the folder of the YAML file. In `--set` it is relative to the current "
        "folder.\n"
        "- `${VARIABLE}` in a path is replaced by the environment variable of that name. It is an error if the "
        "variable is not set; only `HARNESS_HOME` has a default. See [environment variables](command-line.md"
        "#environment-variables).\n"
        "- `{split}` in `dataset.path` is replaced by the entry of the split, and `{database}` in "
        "`databases.path` and `databases.instances` by the database id of the row. Any other placeholder is an "
        "error.\n"
        "- `prompt.template` is a path if there is such a file beside the YAML file, otherwise the name of a "
        "shipped template.\n"
        "- `databases.instances` may have `*` and `?`.",
        "## Top level",
        *_sections(TaskSpec),
        "Names of constructs for `scoring.terms.forbidden.constructs`: "
        + ", ".join(f"`{name}`" for name in CONSTRUCTS)
        + ".",
    )


def training() -> str:
    """Every key of ``train.*``, ``sft.*`` and ``grpo.*``."""
    shared = [member.name for member in settings(TrainingConfig)]
    own = {
        name: [one for one in settings(config) if one.name not in shared]
        for name, config in (("sft", SftConfig), ("grpo", GrpoConfig))
    }
    inner = [
        (f"{prefix}.{member.name}.", member.section)
        for prefix, members in (("train", list(settings(TrainingConfig))), ("grpo", own["grpo"]))
        for member in members
        if member.section is not None
    ]
    different = [
        f"`sft.{one.name}` is {one.default} by default."
        for one, base in zip(settings(SftConfig), settings(TrainingConfig), strict=False)
        if one.name == base.name and one.default != base.default
    ]
    recipes = ", ".join(f"`{path.stem}`" for path in sorted(RECIPES.glob("*.yaml")))
    return _page(
        "Training settings",
        "`harness train --set train.KEY=VALUE` sets a key of the method that is used. With `--method sft+grpo`, "
        "`train.KEY` sets both stages, `sft.KEY` and `grpo.KEY` one of them. `--recipe NAME` starts from shipped "
        f"settings ({recipes}) or from a YAML file with the sections `machine`, `train`, `sft`, `grpo` and "
        "`processes`; `--set` overrides them.",
        "## Both methods",
        _about(TrainingConfig),
        table(settings(TrainingConfig), "train."),
        " ".join(different),
        "## SFT",
        _about(SftConfig),
        table(own["sft"], "sft."),
        "## GRPO",
        _about(GrpoConfig),
        table(own["grpo"], "grpo."),
        *(
            part
            for prefix, section in inner
            for part in (f"## `{prefix.rstrip('.')}`", _about(section), table(settings(section), prefix))
        ),
    )


def runner() -> str:
    """Every key of ``runner.*``."""
    return _page(
        "Runner settings",
        "`harness eval --set runner.KIND.KEY=VALUE` (also for `sample`) configures how a model is run. "
        "[How to run a model](../how-to/models.md) has examples.",
        *_sections(RunnerConfig, "runner."),
    )


def scores() -> str:
    """Reason codes, modes, rewards, the summary and the alarms."""
    reasons = docstrings(Reason)
    modes, flags = docstrings(Mode), docstrings(Flag)
    return _page(
        "Scores",
        "Every answer is executed once. The execution gives a verdict in each mode, a reason code, and the "
        "training reward.",
        "## Reason codes",
        "The set is closed. The reason is that of the headline mode. A mistake of the model scores 0 (`bird_f1` "
        "gives a fraction for `wrong_rows`). After a failure of our own the answer is unscored: it is left out of "
        "all means and counted beside them, and GRPO drops its group.",
        grid(
            ("reason", "score", "meaning"),
            [
                (
                    f"`{reason}`",
                    "unscored" if reason in UNSCORED else "1" if reason is Reason.CORRECT else "0",
                    markdown(reasons[reason.name]),
                )
                for reason in Reason
            ],
        ),
        "## Modes",
        "`scoring.metric` names the headline mode, `scoring.modes` all modes that are computed.",
        grid(("mode", "meaning"), [(f"`{mode}`", markdown(modes[mode.name])) for mode in Mode]),
        "## Training rewards",
        "`scoring.reward` is one of these presets or `module:Class`. The weights of `scoring.terms` must sum to less "
        "than the margin, so that no wrong answer gets as much as a right one. A right answer to a gold that returns "
        "no rows has no reward, and its group is dropped.",
        grid(
            ("preset", "margin", "meaning"),
            [
                (f"`{name}`", f"{MARGINS[name]:g}", markdown(preset.__doc__ or ""))
                for name, preset in PRESETS.items()
            ],
        ),
        "`scoring.weights` makes the reward a weighted mean of these scorers instead; `execution` must weigh more "
        "than `structure` and `security` together:",
        grid(
            ("scorer", "meaning"),
            [
                (f"`{name}`", markdown(type(make(Mode.STRICT)).__doc__ or ""))
                for name, make in SCORERS.items()
            ],
        ),
        "## Security flags",
        "With `scoring.security`, every answer is checked, and gets these flags. "
        "[What finds them](../how-to/private-data.md#check-answers).",
        grid(("flag", "meaning"), [(f"`{flag}`", markdown(flags[flag.name])) for flag in Flag]),
        "## Summary of an evaluation",
        "`scores.json`, and `harness board --json`. Shares and means leave out unscored answers.",
        grid(
            ("key", "type", "meaning"),
            [(f"`{one.name}`", one.type, markdown(one.meaning)) for one in columns(Summary)],
        ),
        "A `Slice` has " + ", ".join(f"`{one.name}`" for one in columns(Slice)) + ". Intervals and tests are "
        "those of `leaderboards/statistics`: Wilson intervals at 95 %, in `harness compare` Tango's for differences "
        "(a bootstrap with several answers to a question), and McNemar's exact test.",
        "## Alarms",
        "Signs that a score is luck or reward hacking. A measure over its limit, or one that has risen by more than "
        "0.10 since a training began, is a warning. [How to read them](../how-to/scoring.md#alarms).",
        grid(
            ("alarm", "limit", "meaning"),
            [(f"`{name}`", f"{limit:g}", facts.ALARMS[name]) for name, limit in LIMITS.items()],
        ),
    )


def run_directory() -> str:
    """Every file that a run leaves."""
    return _page(
        "Run directories",
        "## `HARNESS_HOME`",
        _facts("folder", facts.HOME_FILES),
        "## `HARNESS_HOME/runs/ID`",
        _facts("file", facts.RUN_FILES),
        "Files carry checksums. A changed file is reported and not used.",
        "## `--out` of `harness train`",
        _facts("file", facts.TRAINING_FILES),
        "With `--method sft+grpo` the folders `sft` and `grpo` in it have these files.",
        "## Figures in `curve.jsonl`",
        "Figures are over all processes. `train.stop_if` takes any of them.",
        _facts("figure", facts.FIGURES),
        "## Keys of `run.json`",
        grid(
            ("key", "type", "meaning"),
            [(f"`{one.name}`", one.type, markdown(one.meaning)) for one in columns(Run)],
        ),
        "## Columns of `records.parquet`",
        _about(Record),
        grid(
            ("column", "type", "meaning"),
            [(f"`{one.name}`", one.type, markdown(one.meaning)) for one in columns(Record)],
        ),
    )


def command_line() -> str:
    """Every verb with its flags, exit codes and environment variables."""
    return _page(
        "Command line",
        "Results are printed to stdout, progress and warnings to stderr. `--json` prints every table as JSON.",
        *_verbs(parser(), "harness"),
        "## Exit codes",
        _facts("code", facts.EXIT_CODES),
        "## Environment variables",
        "Variables are also read from a file `.env` in the current folder; the environment wins.",
        _facts("variable", facts.VARIABLES),
        "torch's launcher sets " + ", ".join(f"`{name}`" for name in facts.LAUNCHED) + " for its processes. "
        "Values of variables whose names end in `_KEY`, `_TOKEN`, `_SECRET` or `_PASSWORD` are cut out of errors and "
        "logs.",
    )


def _verbs(of: argparse.ArgumentParser, before: str) -> Iterator[str]:
    """Heading, sentence and arguments of each verb of a parser, and then of its own verbs."""
    for verbs in (one for one in of._actions if isinstance(one, argparse._SubParsersAction)):
        helps = {one.dest: one.help or "" for one in verbs._choices_actions}
        for name, verb in verbs.choices.items():
            rows = [
                (
                    _flag(action),
                    "" if action.default in (None, False, "", [], 0, argparse.SUPPRESS) else _shown(action),
                    action.help or "",
                )
                for action in verb._actions
                if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
            ]
            yield f"## `{before} {name}`"
            yield _sentence(helps[name])
            yield grid(("argument", "default", "meaning"), rows)
            yield from _verbs(verb, f"{before} {name}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "." * (not text.endswith("?"))


def _flag(action: argparse.Action) -> str:
    value = action.metavar or ("" if action.nargs == 0 else (action.dest or "").upper())
    if action.choices:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    name = action.option_strings[-1] if action.option_strings else ""
    return f"`{' '.join(filter(None, (name, str(value))))}`"


def _shown(action: argparse.Action) -> str:
    value = action.default
    return f"`{', '.join(map(str, value)) if isinstance(value, list) else value}`"


def service() -> str:
    """Requests, responses, refusals and metrics of ``harness serve``."""
    return _page("Scoring service", *scoring_service.parts())


PAGES: Mapping[str, Callable[[], str]] = {
    "task-spec.md": task_spec,
    "training.md": training,
    "runner.md": runner,
    "scores.md": scores,
    "run-directory.md": run_directory,
    "service.md": service,
    "command-line.md": command_line,
}
"""File below ``docs/reference`` -> what makes its text."""
