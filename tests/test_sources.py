"""Dataset files of many forms are read, or refused in one line that names the place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tasks import readers
from tasks import spec as specs
from tasks.common.errors import DataError, HarnessError, SpecError
from tasks.common.parse import parse
from tasks.samples import equals, golds, text
from tasks.spec import TaskSpec
from tasks.task import Task

ROW = '{"question": "q \\u2028", "query": "SELECT 1", "db_id": "d"}'
HEADER = "question,query,db_id\n"
READ = {
    "bom.json": f"\ufeff[{ROW}]",
    "bom.jsonl": f"\ufeff{ROW}\n",
    "crlf.jsonl": f"{ROW}\r\n\r\n",
    "raw.jsonl": '{"question": "q \u2028", "query": "SELECT 1", "db_id": "d"}\n',
    "lines.json": f"{ROW}\n{ROW}\n",
    "lines.ndjson": f"{ROW}\n",
    "bom.csv": f"\ufeff{HEADER}q \u2028,SELECT 1,d\n",
    "blank.csv": f"{HEADER}\r\nq \u2028,SELECT 1,d\r\n\r\n",
    "semicolons.csv": f"\ufeff{HEADER}q \u2028,SELECT 1,d\r\n,,\r\n".replace(",", ";"),
    "sep.csv": "sep=;\r\n" + f"{HEADER}q \u2028,SELECT 1,d\r\n".replace(",", ";"),
    "tabs.csv": f"{HEADER}q \u2028,SELECT 1,d\n".replace(",", "\t"),
    "padded.csv": f"{HEADER}q \u2028,SELECT 1,d\n,,\n , ,\n",
    "x.tsv": HEADER.replace(",", "\t") + "q \u2028\tSELECT 1\td\n",
}


def test_a_tsv_with_and_without_quoting(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text('a\tb\n"who" is it?\t1\n"x\ty"\n')
    assert [row["a"] for row in readers.read(tmp_path / "x.tsv")] == ['"who" is it?', '"x']
    (tmp_path / "x.tsv").write_text('a\tb\n"who ""is"" it?"\t1\n"x\ty"\t2\n')
    assert [row["a"] for row in readers.read(tmp_path / "x.tsv")] == ['who "is" it?', "x\ty"]


@pytest.mark.parametrize("name", READ)
def test_files_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(READ[name].encode())
    rows = readers.read(tmp_path / name)
    assert rows[0] == {"question": "q \u2028", "query": "SELECT 1", "db_id": "d"}
    assert len(rows) == len(readers.places(tmp_path / name))


def test_a_long_field_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"a,b\n{'x' * 300_000},1\n")
    assert len(readers.read(tmp_path / "x.csv")[0]["a"]) == 300_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "a,b\n1,2\n1,2,3\n", "x.csv, line 3: 3 fields, the header has 2"),
        ("x.csv", "a,b\n1\n", "line 2: 1 fields, the header has 2"),
        ("x.csv", "a,a\n1,2\n", "has the column 'a' twice"),
        ("x.csv", "a,,\n1,2,3\n", "has several columns without a name"),
        ("x.csv", 'a,b\n"1,2\n3,4\n', "unexpected end of data"),
        ("x.json", '[{"a": 1, "a": 2}]', 'has the key "a" twice'),
        ("x.jsonl", '{"a": 1}\n{"a": 1, "a": 2}', 'line 2: an object has the key "a" twice'),
        ("x.csv", b"a\n\xff\n", "not UTF-8 at byte 2: save it as UTF-8"),
        ("x.json", '{"a": 1}', "a list of objects"),
        ("x.jsonl", '{"a": 1}\n{', "line 2: "),
        ("x.xlsx", "", "cannot read '.xlsx' files; known: .json"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        readers.read(tmp_path / name)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("x.csv", "a,b\n1,2\n3,4\n", ["line 2", "line 3"]),
        ("x.csv", 'a,b\r\n"1\r\n1",2\r\n\r\n,\r\n3,4\r\n', ["line 2", "line 6"]),
        ("x.csv", "sep=;\na;b\n1;2\n", ["line 3"]),
        ("x.csv", "a\n1\n\n2\n", ["line 2", "line 4"]),
        ("x.tsv", 'a\tb\n"who" is it?\t1\n2\t2\n', ["line 2", "line 3"]),
        ("x.jsonl", '{"a": 1}\r\n\r\n{"a": 2}\r\n', ["line 1", "line 3"]),
        ("x.json", '[{"a": 1}, {"a": 2}]', ["row 1", "row 2"]),
    ],
)
def test_each_row_has_its_place(tmp_path: Path, name: str, content: str, places: list[str]) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert readers.places(tmp_path / name) == places
    assert len(readers.read(tmp_path / name)) == len(places)


def test_commas_in_a_header_with_semicolons_in_a_name_stay(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('"a;b",c\n1,2\n')
    assert readers.read(tmp_path / "x.csv") == [{"a;b": "1", "c": "2"}]


def test_a_path_without_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "train.csv").touch()
    os.mkfifo(tmp_path / "pipe.csv")
    for name, message in {
        "folder.csv": "is a folder",
        "pipe.csv": "is no plain file",
        "trian.csv": "did you mean 'train.csv'?",
    }.items():
        with pytest.raises(DataError) as caught:
            readers.read(tmp_path / name)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("SELECT 1", ("SELECT 1",)),
        ([None, "SELECT 1"], ("SELECT 1",)),
        ({"sql": "SELECT 1", "tables": []}, ("SELECT 1",)),
        ([{"query": "SELECT 1"}, float("nan"), "SELECT 2"], ("SELECT 1", "SELECT 2")),
        (None, ()),
        (float("nan"), ()),
        ("  ", ()),
    ],
)
def test_golds(value: Any, found: tuple[str, ...]) -> None:
    assert golds(value, "row 0") == found


def test_null_and_nan_are_no_text_and_a_gold_must_be_text() -> None:
    assert (text(None), text(float("nan")), text(3), text(False)) == ("", "", "3", "False")
    for value in (3, {"tables": []}):
        with pytest.raises(DataError, match="row 0"):
            golds(value, "row 0")


@pytest.mark.parametrize(
    ("value", "wanted", "same"),
    [
        (1, 1, True), (1.0, 1, True), ("1", 1, True), ("01", 1, True), ("x", 1, False), ("1", "1", True),
        (True, True, True), ("true", True, True), ("False", True, False), (None, "a", False), (0, 1, False),
        (1, "1", None), (1, True, None), (True, 1, None), (True, "true", None), (float("nan"), 1, False),
    ],
)  # fmt: skip
def test_where_compares_by_the_columns_type(value: Any, wanted: Any, same: bool | None) -> None:
    if same is None:
        with pytest.raises(DataError, match="column 'x' holds"):
            equals(value, wanted, "column 'x'")
    else:
        assert equals(value, wanted, "column 'x'") is same


def task(folder: Path, **dataset: Any) -> Path:
    """A YAML file with relative paths, its dataset of ten rows and its database."""
    rows = [{"question": f"q{i}", "query": "SELECT 1", "db_id": "d"} for i in range(10)]
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "rows.json").write_text(json.dumps(rows))
    (folder / "data" / "d.sqlite").touch()
    (folder / "mine.jinja").write_text("{{ schema }} {{ question }}!")
    given = {"path": "data/rows.json", "splits": {"dev": "dev", "train": "train"}} | dataset
    path = folder / "t.yml"
    databases = {"path": "data/{database}.sqlite"}
    path.write_text(
        json.dumps(
            {"name": "t", "dataset": given, "databases": databases, "prompt": {"template": "mine.jinja"}}
        )
    )
    return path


def test_relative_paths_are_relative_to_the_yaml_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Task.named(str(task(tmp_path / "elsewhere")))
    sample = found.samples()[0]
    assert found.messages(sample)[0]["content"].endswith("q0!")
    assert "the splits 'dev' and 'train' are the same rows of one file" in capsys.readouterr().err


def test_slices_of_one_file_are_different_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits = {"train": "x[:30%]", "dev": "x[3:-1]", "last": "x[-1:]"}
    found = Task.named(str(task(tmp_path / "elsewhere", splits=splits)))
    asked = {split: [sample.question for sample in found.samples(split)] for split in splits}
    assert asked["train"] == ["q0", "q1", "q2"] and asked["last"] == ["q9"]
    assert asked["dev"] == ["q3", "q4", "q5", "q6", "q7", "q8"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": {"path": "x.json", "splits": {}}}, "splits: name at least one"),
        ({"name": ""}, "must not be empty or a path"),
        ({"name": "../x"}, "must not be empty or a path"),
    ],
)
def test_an_invalid_spec_is_one_line(change: dict[str, Any], message: str) -> None:
    base = {"name": "t", "dataset": {"path": "x.json", "splits": {"dev": "dev"}}}
    with pytest.raises(SpecError) as caught:
        parse(TaskSpec, base | change)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_repeated_key_is_named_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("name: t\ndataset:\n  path: a.json\n  splits: {dev: dev}\n  path: b.json\n")
    with pytest.raises(SpecError, match=r"t\.yaml, line 5: the key 'path' is in line 3 too"):
        specs.load(str(path))


def test_a_missing_task_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").touch()
    with pytest.raises(HarnessError, match=r"did you mean 'shop\.yml'"):
        specs.load(str(tmp_path / "shop.yaml"))
    with pytest.raises(HarnessError, match="it is a folder"):
        specs.load(str(tmp_path))


def test_a_configuration_of_a_local_folder_is_read(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    for name, sql in {"easy": "SELECT 1", "hard": "SELECT 2"}.items():
        row = {"question": "q", "query": [{"sql": sql, "n": None}, None], "db_id": "d"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row))
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: easy\n  data_files: [{split: test, path: easy.jsonl}]\n"
        "- config_name: hard\n  data_files: [{split: test, path: hard.jsonl}]\n---\n"
    )
    (tmp_path / "d.sqlite").touch()
    for config, wanted in {"easy": "SELECT 1", "hard": "SELECT 2", "": "", "hrad": ""}.items():
        dataset = {
            "path": str(tmp_path),
            "source": "huggingface",
            "config": config,
            "splits": {"dev": "test"},
        }
        found = Task(
            parse(TaskSpec, {"name": "t", "dataset": dataset, "databases": {"path": f"{tmp_path}/d.sqlite"}})
        )
        if wanted:
            assert found.samples()[0].gold == (wanted,)
        else:
            with pytest.raises(DataError, match="easy"):
                found.samples()


def test_parquet_with_nested_golds(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [
        {"question": "q", "query": [{"sql": "SELECT 1", "n": 1}, None], "id": 1},
        {"question": "q", "query": [{"sql": "SELECT 2", "n": None}, {"sql": None, "n": 2}], "id": 2},
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x.parquet")
    read = readers.read(tmp_path / "x.parquet")
    assert [golds(row["query"], "") for row in read] == [("SELECT 1",), ("SELECT 2",)]


def test_the_configuration_of_a_hub_dataset_can_be_named() -> None:
    dataset = {"path": "org/name", "source": "huggingface", "config": "xsp", "splits": {"dev": "test"}}
    assert parse(TaskSpec, {"name": "t", "dataset": dataset}).dataset.config == "xsp"


SPEC = "dataset: {path: data/rows.json, splits: {dev: dev}}\ndatabases: {path: 'data/{database}.sqlite'}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("2020-01-01: 1\nname: t\n" + SPEC, "unknown key '2020-01-01'"),
        (
            "name: t\n" + SPEC.replace("{dev: dev}", "{dev: dev, 'dev': x}"),
            "the key 'dev' is in line 2 too",
        ),
        ("name: t\ndataset:\n  <<: {path: x, path: y}\n", "line 3: the key 'path' is in line 3 too"),
        ("name: t\ndataset:\n  <<: {path: x}\n  <<: {path: y}\n", "the key '<<' is in line 3 too"),
        ("", "this is empty"),
        ("- a", "this is a list"),
        ("name: t\n" + SPEC + "---\nname: u\n", "expected a single document"),
        ("name: t\ndataset:\n\tpath: x\n", "'\\t' that cannot start any token"),
        ("name: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_yaml_that_is_no_spec_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = task(tmp_path).with_suffix(".yaml")
    path.write_text(content)
    with pytest.raises(SpecError) as caught:
        specs.load(str(path))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_keys_of_yaml_are_text_and_merges_work(tmp_path: Path) -> None:
    path = task(tmp_path).with_suffix(".yaml")
    path.write_text(
        "name: 2020-01-01\ndataset:\n  <<: {path: nope.json, splits: {no: x}}\n  path: data/rows.json\n"
        "  eval_split: 'no'\n  where: {db_id: d}\ndatabases: {path: 'data/{database}.sqlite'}\n"
    )
    found = Task(specs.load(str(path), ["description=2020-01-02"]))
    assert (found.name, found.spec.description) == ("2020-01-01", "2020-01-02")
    assert len(found.samples("no")) == 10


def test_a_where_without_matches_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset.where \(db_id = 8\) leaves none of the rows of 'dev'"):
        Task.named(str(task(tmp_path)), ["dataset.where.db_id=010"]).samples()
