"""The leaderboard's page as a file: it is self-contained, small, readable without scripts, and inert."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import page_runs
import pytest

from harness.cli import main
from harness.page.collect import Collector
from harness.page.formats import where
from harness.page.packs import LONGEST, packed, shown
from harness.page.write import FOLDER, write_page
from leaderboards import store
from leaderboards.pairs import PairedFigures
from leaderboards.types import Run
from tools.vendor import LIBRARIES

ROOT = Path(__file__).parent.parent


class Elements(HTMLParser):
    """The start tags of a page with their attributes, and the text directly in each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts.append((self.tags[-1][0], data))

    def pack(self, name: str) -> Any:
        """The content of a pack."""
        place = next(i for i, (_, attrs) in enumerate(self.tags) if attrs.get("id") == f"pack-{name}")
        before = sum(1 for tag, attrs in self.tags[:place] if "pack-" in (attrs.get("id") or ""))
        data = [text for tag, text in self.texts if tag == "script" and text.strip()][before]
        return json.loads(gzip.decompress(base64.b64decode(data)))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def shop(home: Path) -> Path:
    page_runs.shop(home)
    return home


def written(folder: Path) -> str:
    write_page(Collector().page(), folder / "board.html")
    return (folder / "board.html").read_text(encoding="utf-8")


def text_of(page: str) -> str:
    """The text of a page, without its scripts and styles."""
    return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL).split())


def test_the_command_writes_one_file_that_refers_to_nothing_else(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page_runs.lineage(20)
    assert main(["board", "--html", str(home / "out" / "board.html")]) == 0
    assert "out/board.html" in capsys.readouterr().out
    elements = Elements((home / "out" / "board.html").read_text(encoding="utf-8"))
    addresses = [
        value
        for _, attrs in elements.tags
        for name, value in attrs.items()
        if name in ("href", "src", "action", "data", "srcset", "poster") and value is not None
    ]
    assert len(addresses) > 10
    assert [address for address in addresses if not address.startswith(("#", "data:image/svg+xml,"))] == []


def test_the_policy_allows_the_pages_own_scripts_and_style_only(home: Path) -> None:
    page_runs.lineage(10)
    elements = Elements(written(home))
    (policy,) = (a["content"] for t, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and "default-src 'none'" in policy and "unsafe" not in policy
    code = [text for tag, text in elements.texts if tag in ("script", "style") and "{" in text]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in code}
    assert len(hashes) == 4  # d3, Plot, the page's own script, and its style
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert not any(name.startswith("on") or name == "style" for _, a in elements.tags for name in a)


def test_figures_can_be_read_without_scripts(home: Path) -> None:
    base, _, grpo = page_runs.lineage(60)
    text = written(home)
    visible = text_of(text)
    sentence = (
        r"GRPO helped: [\d.]+ → [\d.]+ % of 60 questions answered right, \+[\d.]+ points \(95 % interval"
    )
    assert re.search(sentence, visible) and "SFT helped: " in visible
    assert "p = " in visible or "p < " in visible
    assert "in training: the reward fell" in visible
    ids = {attrs.get("id") for _, attrs in Elements(text).tags}
    assert {f"/run/{run}" for run in (base, grpo)} <= ids


def test_a_stage_that_was_asked_less_says_so(home: Path) -> None:
    page_runs.lineage(60)
    page_runs.short_evaluation(20)
    visible = " ".join(
        re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", written(home), flags=re.DOTALL).split()
    )
    assert "of 60 questions answered right" in visible and "of 20 questions answered right" in visible
    assert re.search(r"all 60 \+", visible) and re.search(r"all 60 / 20 \+", visible)
    assert "models/grpo , grpo of models/sft · 20 asked: Gain of each stage" in visible


def test_runs_of_one_model_have_different_names(home: Path) -> None:
    page_runs.lineage(10)
    page_runs.short_evaluation(5)
    index = json.dumps(Elements(written(home)).pack("index"), ensure_ascii=False)
    labels = re.findall(r'"label": "(models/[^"]*)"', index)
    assert sorted(labels) == ["models/base", "models/grpo", "models/grpo · 5 asked", "models/sft"]


def test_tables_of_one_task_say_how_they_differ(home: Path) -> None:
    page_runs.lineage(10)
    assert "not ranked with" not in text_of(written(home))
    page_runs.evaluation("models/new", [page_runs.realistic(0, 1)], scorer_version="2", digest="other")
    visible = text_of(written(home))
    assert "pocket test · strict · scorer 2 These runs are not ranked with" in visible
    assert "pocket test · strict · scorer 1 These runs" in visible and "other test · strict Runs" in visible


def test_the_kinds_of_questions_are_named_once_a_field(home: Path) -> None:
    page_runs.lineage(60)
    (stage,) = (one for group in Collector().page().groups for line in group.lineages for one in line[1:2])
    assert stage.gain is not None
    even, up = (PairedFigures(100, n, 0, 100 - n, 0.4, 0.4 + n / 100, p) for n, p in ((0, 1.0), (30, 0.001)))
    unsure = {
        "difficulty": {"easy": even},
        "feature": {"join": even, "nested": even},
        "tables": {"1 table": even},
    }
    kinds = {**unsure, "difficulty": {"easy": even, "hard": up}}
    assert where(replace(stage, gain=replace(stage.gain, slices=kinds))) == (
        "Most on difficulty hard (+30.0); no sure difference on difficulty easy, "
        "feature join, nested, 1 table."
    )
    none = where(replace(stage, gain=replace(stage.gain, slices=unsure)))
    assert none == "No sure difference on any kind of questions."


def test_records_are_packed_with_each_text_once(home: Path) -> None:
    page_runs.lineage(30)
    elements = Elements(written(home))
    group = elements.pack("group-1")
    assert group["questions"]["gold"][0].startswith("SELECT name")
    assert group["texts"].count("city(name, size)") == 1
    assert len(group["prompts"]) == 30
    assert len(group["comparisons"]) == 3


@pytest.mark.slow
def test_twenty_runs_of_a_thousand_questions_are_under_five_megabytes(home: Path) -> None:
    for number in range(20):
        page_runs.evaluation(
            f"model-{number}", [page_runs.realistic(i, number) for i in range(1000)], digest=str(number)
        )
    write_page(Collector().page(), home / "board.html")
    assert (home / "board.html").stat().st_size < 5_000_000


def test_hostile_texts_stay_text(home: Path) -> None:
    page_runs.hostile()
    text = written(home)
    elements = Elements(text)
    assert not {"iframe", "img", "textarea", "object", "embed"} & {tag for tag, _ in elements.tags}
    scripts = [attrs for tag, attrs in elements.tags if tag == "script"]
    assert sum(attrs == {} for attrs in scripts) == 3
    assert all(attrs.get("type") == "application/octet-stream" for attrs in scripts if attrs)
    assert "alert(1)" not in "".join(code for tag, code in elements.texts if tag == "script")
    packs = [json.dumps(elements.pack(name), ensure_ascii=False) for name in ("group-0", "run-0-0")]
    for character in ("\x1b", "\u202e", "\u2066", "\x00", "\u2028"):
        assert not [content[:200] for content in (text, *packs) if character in content]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\u202eb", "a\ufffdb"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("x" * (LONGEST + 5), "x" * LONGEST + "\n[cut: 5 more characters]"),
    ],
)
def test_text_is_shown_with_nothing_hidden(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, -float("inf")], {"a": (float("nan"),)}])
def test_a_number_that_json_has_not_is_packed_as_none(value: Any) -> None:
    text = gzip.decompress(base64.b64decode(packed(value))).decode()
    assert "null" in text and json.loads(text) != value


def test_the_long_curve_of_a_run_that_goes_on_is_whole(home: Path) -> None:
    dice = random.Random(0)
    rows = [{"step": step, **{f"parts/{i}": dice.random() for i in range(12)}} for step in range(400)]
    with store.open_run(Run("long", "train", "m", "pocket", "d", "train", "strict", "1", "digest")) as writer:
        writer.append_curve(rows)
        (one,) = Elements(written(home)).pack("index")["unfinished"]
    assert [row["parts/11"] for row in one["curve"]] == [row["parts/11"] for row in rows]


def test_results_of_gold_and_answers_are_held_with_the_reward_of_each_preset(home: Path, shop: Path) -> None:
    elements = Elements(written(home))
    tables = elements.pack("tables-0")
    assert set(tables) == {"q1", "q2"}  # the questions on which the two runs differ
    (run,) = (run for run in tables["q2"] if "wrong" in run)
    result = tables["q2"][run][0]
    assert result["gold"]["rows"] == [["1", "a"], ["2", "\ufffdb"]]
    assert result["answer"]["rows"] == [["1", "a"]]
    assert result["gold"]["differs"] == 1
    assert result["rewards"]["binary"] == 0.0 and 0 < result["rewards"]["gated"] < 0.31


def test_no_answer_is_run_again_where_that_is_asked_for(home: Path, shop: Path) -> None:
    write_page(Collector().page(), home / "board.html", answers=0)
    assert Elements((home / "board.html").read_text(encoding="utf-8")).pack("tables-0") == {}


def test_an_empty_home_gives_a_page_that_names_the_next_command(home: Path) -> None:
    assert "harness eval --model nano --task pocket" in written(home)


def test_a_damaged_run_is_left_out_and_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, sft, _ = page_runs.lineage(10)
    (home / "runs" / sft / "records.parquet").write_bytes(b"PAR1")
    text = written(home)
    assert sft in capsys.readouterr().err
    assert f'id="/run/{sft}"' not in text and "models/grpo" in text


def test_the_vendored_files_are_those_that_the_script_names() -> None:
    for library in LIBRARIES:
        content = (ROOT / library.target).read_bytes()
        assert hashlib.sha256(content).hexdigest() == library.sha256
        notice = (ROOT / library.target).with_name("README.md").read_text(encoding="utf-8")
        assert f"`{library.package}` {library.version}, {library.licence}" in notice
    carried = {path.name for path in (FOLDER / "vendor").iterdir()} - {"README.md"}
    assert carried == {Path(library.target).name for library in LIBRARIES if "page" in library.target}
