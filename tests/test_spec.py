"""Task specs: what is accepted, what is refused, and the messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import spec as specs
from tasks.common.errors import SpecError
from tasks.common.home import expand
from tasks.common.parse import parse
from tasks.spec import TaskSpec

MINIMAL = {"name": "x", "dataset": {"path": "rows.json", "splits": {"dev": "dev"}}}


@pytest.mark.parametrize("name", specs.shipped())
def test_shipped_specs_load(name: str) -> None:
    assert specs.load(name).name == name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scorin": {}}, "unknown key 'scorin': did you mean 'scoring'?"),
        ({"scoring": {"rewrd": "gated"}}, "unknown key 'scoring.rewrd': did you mean 'reward'?"),
        ({"prompt": {"schema": {"row": 3}}}, "unknown key 'prompt.schema.row': did you mean 'rows'?"),
        ({"scoring": {"metric": "exact"}}, "scoring.metric: Input should be 'strict'"),
        (
            {"scoring": {"instances": 0}},
            "scoring.instances: Input should be greater than or equal to 1 (got 0)",
        ),
        ({"dataset": {"splits": {}}}, "dataset.path: Field required"),
    ],
)
def test_a_wrong_key_or_value_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(TaskSpec, MINIMAL | change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fault_of_a_whole_spec_is_named_without_its_content() -> None:
    with pytest.raises(SpecError) as caught:
        specs.load("wikitables", ["scoring.metric=strict"])
    assert str(caught.value).startswith("wikitables: dataset.fields.answers gives no SQL: set scoring.metric")
    assert "{" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("scoring.seconds=2.5", ("scoring", "seconds"), 2.5),
        ("prompt.schema.rows=2", ("prompt", "schema_", "rows"), 2),
        ("dataset.where={exec_ok: true}", ("dataset", "where"), {"exec_ok": True}),
        ("scoring.modes=[strict, bird]", ("scoring", "modes"), ("strict", "bird")),
        ("description=a = b", ("description",), "a = b"),
    ],
)
def test_overrides_reach_their_key(override: str, path: tuple[str, ...], value: object) -> None:
    found: object = parse(TaskSpec, MINIMAL, [override])
    for name in path:
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize("override", ["scoring", "=1", "name.x=1", "scoring.second=1", "scoring.seconds=[:"])
def test_a_wrong_override_is_a_spec_error(override: str) -> None:
    with pytest.raises(SpecError):
        parse(TaskSpec, MINIMAL, [override])


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'spider'"):
        specs.load("spidr")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not YAML: line 1, column 5: "), ("- a\n", "a spec is a mapping"), ("\x00", "not YAML")],
)
def test_broken_yaml_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "task.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        specs.load(str(path))
    assert "\n" not in str(caught.value)


def test_an_unset_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_PLACE", raising=False)
    with pytest.raises(SpecError, match="NO_SUCH_PLACE is not set"):
        expand("${NO_SUCH_PLACE}/x")


def test_specs_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(TaskSpec, MINIMAL).name = "y"  # type: ignore[misc]
