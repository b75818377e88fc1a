"""Which text of an answer is its SQL: one example a row."""

from __future__ import annotations

import pytest
from cpu_time import ATTEMPTS, cpu_seconds
from hypothesis import given
from hypothesis import strategies as st

from rewards.extract import extract

FACTS = [
    ("a bare statement", "SELECT 1", "SELECT 1"),
    ("white space around it goes", "\n  SELECT 1 ; \n", "SELECT 1 ;"),
    ("any case", "select 1", "select 1"),
    ("WITH", "WITH a AS (SELECT 1) SELECT * FROM a", "WITH a AS (SELECT 1) SELECT * FROM a"),
    ("VALUES", "VALUES (1)", "VALUES (1)"),
    ("parentheses first", "((SELECT 1))", "((SELECT 1))"),
    ("comments first", "-- why\n/* how */ SELECT 1", "-- why\n/* how */ SELECT 1"),
    ("several lines", "SELECT 1,\n 2\nFROM t", "SELECT 1,\n 2\nFROM t"),
    ("other verbs are for the sandbox to refuse", "DELETE FROM t", "DELETE FROM t"),
    ("a pragma too", "PRAGMA table_info(t)", "PRAGMA table_info(t)"),
    ("two statements stay two", "SELECT 1; DROP TABLE t", "SELECT 1; DROP TABLE t"),
    ("a repeated schema stays", "CREATE TABLE t(a);\nSELECT a FROM t", "CREATE TABLE t(a);\nSELECT a FROM t"),
    (
        "a repeated schema in the block stays",
        "```sql\nCREATE TABLE t(a);\n\nSELECT a FROM t;\n```\nIt counts.",
        "CREATE TABLE t(a);\n\nSELECT a FROM t;",
    ),
    (
        "a repeated schema in a block of its own does not",
        "```sql\nCREATE TABLE t(a);\n```\nso:\n```sql\nSELECT a FROM t\n```",
        "SELECT a FROM t",
    ),
    ("an explanation without a block stays", "SELECT 1;\n\nThis counts.", "SELECT 1;\n\nThis counts."),
    ("an explanation after the block goes", "```sql\nSELECT 1;\n```\n\nThis counts; SELECT 2", "SELECT 1;"),
    ("a fence tagged sql", "Here:\n```sql\nSELECT 1\n```\nDone.", "SELECT 1"),
    ("tagged sqlite", "```sqlite\nSELECT 1\n```", "SELECT 1"),
    ("tagged in capitals", "```SQL\nSELECT 1\n```", "SELECT 1"),
    ("no tag", "```\nSELECT 1\n```", "SELECT 1"),
    ("on one line, tagged", "It is ```sql SELECT 1```.", "SELECT 1"),
    ("on one line, no tag", "It is ```SELECT 1```.", "SELECT 1"),
    ("windows line ends", "```sql\r\nSELECT 1\r\n```", "SELECT 1"),
    ("four backticks", "````sql\nSELECT 1\n````", "SELECT 1"),
    ("the last fence wins", "```sql\nSELECT 1\n```\nno:\n```sql\nSELECT 2\n```", "SELECT 2"),
    ("the last of twenty", "".join(f"```sql\nSELECT {i}\n```\n" for i in range(20)), "SELECT 19"),
    ("a fence beats a bare statement", "SELECT 1\n```sql\nSELECT 2\n```", "SELECT 2"),
    ("an unclosed last fence reaches to the end", "so:\n```sql\nSELECT 1\nFROM t", "SELECT 1\nFROM t"),
    ("a blank block is no block", "```sql\nSELECT 1\n```\n```\n", "SELECT 1"),
    ("a printed result is no block", "```sql\nSELECT 1\n```\ngives\n```\n42\n```", "SELECT 1"),
    ("another language is no block", "```sql\nSELECT 1\n```\n```python\nSELECT = 2\n```", "SELECT 1"),
    ("a tagged block is taken as it is", "```sql\nDROP TABLE t\n```", "DROP TABLE t"),
    ("the prompt opened the fence", "SELECT 1\n```\nThis counts.", "SELECT 1"),
    ("backquoted names are no fence", "SELECT `a` FROM `b`", "SELECT `a` FROM `b`"),
    ("thoughts are cut", "<think>SELECT 0</think>SELECT 1", "SELECT 1"),
    ("thoughts in capitals", "<THINK>SELECT 0</THINK>\nSELECT 1", "SELECT 1"),
    (
        "fences in thoughts do not count",
        "<think>```sql\nSELECT 0\n```</think>```sql\nSELECT 1\n```",
        "SELECT 1",
    ),
    ("a fence left open in thoughts", "<think>```sql\nSELECT 0</think>SELECT 1", "SELECT 1"),
    ("the prompt opened the thoughts", "hmm SELECT 0\n</think>\nSELECT 1", "SELECT 1"),
    ("thoughts about the tag", "<think>a <think> b</think>SELECT 1", "SELECT 1"),
    ("nested thoughts", "<think>a<think>b</think>c</think>SELECT 1", "SELECT 1"),
    ("thoughts after the answer", "SELECT 1<think>was it?</think>", "SELECT 1"),
    ("thinking never ends", "<think>SELECT 1", ""),
    ("thinking begins again and never ends", "<think>a</think>SELECT 1<think>hm", ""),
    ("nothing", "", ""),
    ("white space", " \n\t", ""),
    ("only a comment", "-- SELECT 1", ""),
    ("only an open comment", "/* SELECT 1", ""),
    ("prose", "I cannot answer that.", ""),
    ("prose around SQL is not searched", "The answer is SELECT 1", ""),
    ("a label is not skipped", "SQL: SELECT 1", ""),
    ("an empty fence", "```sql\n```", ""),
    ("a block of another language only", "```json\n{}\n```", ""),
    ("prose in parentheses", "(note) SELECT 1", ""),
    ("no verb inside parentheses", "(DELETE FROM t)", ""),
    ("a word that only begins like a verb", "selected rows", ""),
    ("a semicolon first", "; ;SELECT 1", "; ;SELECT 1"),
    ("FROM first", "FROM t", "FROM t"),
    ("FROM first with clauses", "from t as x\nwhere a > 1", "from t as x\nwhere a > 1"),
    ("FROM first, fenced without a tag", "```\nFROM s.t SELECT a\n```", "FROM s.t SELECT a"),
    ("FROM a function", "FROM range(3)", "FROM range(3)"),
    ("FROM a subquery", "FROM (SELECT 1);", "FROM (SELECT 1);"),
    ("FROM in parentheses", "(FROM t)", "(FROM t)"),
    ("FROM two tables", 'FROM a, "b c" LEFT JOIN d USING (i)', 'FROM a, "b c" LEFT JOIN d USING (i)'),
    ("prose that begins with from", "From the table we select all rows", ""),
    ("prose with from and a comma", "From this, we see that SELECT 1 is right", ""),
    ("prose from experience", "From experience I would say SELECT 1", ""),
    ("TABLE", "TABLE t;", "TABLE t;"),
    ("TABLE with clauses", "table t order by a", "table t order by a"),
    ("prose that begins with table", "Table t has no such column", ""),
    ("PIVOT", "PIVOT t ON b USING sum(a)", "PIVOT t ON b USING sum(a)"),
    ("UNPIVOT", "UNPIVOT t ON a, b", "UNPIVOT t ON a, b"),
    ("prose that begins with pivot", "Pivot the table first", ""),
    ("SUMMARIZE", "SUMMARIZE t", "SUMMARIZE t"),
    ("prose that begins with summarize", "Summarize the sales by year", ""),
    ("tilde fences", "So:\n~~~sql\nSELECT 1\n~~~\nDone.", "SELECT 1"),
    ("an operator of tildes", "SELECT 1 WHERE 'a' ~~~ 'a*'", "SELECT 1 WHERE 'a' ~~~ 'a*'"),
    ("a fence inside another", "````markdown\n```sql\nSELECT 1\n```\n````", "SELECT 1"),
    ("a draft whose fence is not closed", "```sql\nSELECT 0\nno:\n```sql\nSELECT 1\n```", "SELECT 1"),
    ("more on the fence's line", "```sql title='x'\nSELECT 1\n```", "SELECT 1"),
    ("a result that begins like VALUES", "```sql\nSELECT 1\n```\n```\nvalues\n1\n```", "SELECT 1"),
    ("a result that begins like SHOW", "```sql\nSELECT 1\n```\n```\nShow | n\n1 | 2\n```", "SELECT 1"),
    ("the schema after the answer", "```sql\nSELECT 1\n```\n```\nCREATE TABLE t (a)\n```", "SELECT 1"),
    ("a statement that is no query, alone", "```\nDROP TABLE t\n```", "DROP TABLE t"),
    ("answer tags after prose", "I counted.\n<answer>SELECT 1</answer>", "SELECT 1"),
    ("answer tags after a draft", "```sql\nSELECT 0\n```\n<solution>\nSELECT 1\n</solution>", "SELECT 1"),
    ("prose after answer tags", "<solution>SELECT 1</solution>\nThis counts.", "SELECT 1"),
    ("a fence in answer tags", "So <answer>\n```sql\nSELECT 1\n```\n</answer>.", "SELECT 1"),
    ("tags of sql", "<think>SELECT 0</think>So:\n<SQL>\nSELECT 1\n</SQL>", "SELECT 1"),
    ("answer tags in answer tags", "<answer><sql>SELECT 1</sql></answer>", "SELECT 1"),
    ("an answer tag with an attribute", "<answer type='sql'>SELECT 1</answer>", "SELECT 1"),
    ("the last answer tag", "<answer>SELECT 0</answer> no, <answer>SELECT 1</answer>", "SELECT 1"),
    ("an answer tag that is not closed", "So <answer>SELECT 1", "SELECT 1"),
    ("the prompt opened the answer tag", "SELECT 1</answer>\nDone.", "SELECT 1"),
    ("answer tags mentioned", "I use <answer></answer> tags:\n```sql\nSELECT 1\n```", "SELECT 1"),
    ("prose in answer tags", "<answer>see below</answer>\n```sql\nSELECT 1\n```", "SELECT 1"),
    ("answer tags in thoughts", "<think><answer>SELECT 0</answer></think>SELECT 1", "SELECT 1"),
    ("answer tags in a value", "SELECT '<sql>SELECT 0</sql>'", "SELECT '<sql>SELECT 0</sql>'"),
    ("a box", "<think>x</think><|begin_of_box|>SELECT 1<|end_of_box|>", "SELECT 1"),
    ("a special token at the end", "SELECT 1<|im_end|>\n<|im_start|>user", "SELECT 1"),
    ("an object of JSON", '{"reasoning": "SELECT 0", "sql": "SELECT 1"}', ""),
    ("an object of JSON, fenced", 'So:\n```json\n{"query": "SELECT 1"}\n```', ""),
]


@pytest.mark.parametrize(("text", "sql"), [fact[1:] for fact in FACTS], ids=[fact[0] for fact in FACTS])
def test_examples(text: str, sql: str) -> None:
    assert extract(text) == sql


HOSTILE = [
    "`", "``` ", "```sql\n", "<think>", "</think>", "<think></think>", "(", "( ", "/*", "/**/", "--", "-- \n",
    " ", "\n", "a", "```sql\nSELECT 1```", "SELECT 1,", "\x00", "```<think>```</think>",
]  # fmt: skip


def seconds(beginning: str, unit: str, characters: int) -> float:
    """CPU seconds that a text of so many characters takes."""
    text = beginning + unit * (characters // len(unit))
    return cpu_seconds(lambda: extract(text))


def is_linear(beginning: str, unit: str, characters: int) -> bool:
    """Whether ten times the text takes about ten times as long; a square would take a hundred times."""
    return any(
        seconds(beginning, unit, characters) < 30 * seconds(beginning, unit, characters // 10) + 0.5
        for _ in range(ATTEMPTS)
    )


@pytest.mark.parametrize("unit", HOSTILE)
def test_linear_on_ten_megabytes(unit: str) -> None:
    assert is_linear("", unit, 10_000_000)


TAGS = [
    "'</think>'", "'x </think> y'", "</think>/*", "<|channel|>", "<|channel|>final<|message|>", "analysis",
    "assistantfinal", "<|channel|>a ", "<answer>", "</answer> ", "Here is my response:", "<think x",
    "[THINK]", "```'</think> '", "<|channel|>a", "final ", "<sql>", "<sql>SELECT ", "'<sql>' ", "</s>",
    "</sql> '", "<think a=b ", "<think a", "</ ", "<|think|>", "~~~\n", "\n~~~sql\n", " \n  ~", '{"sql":',
    "[THINK]SELECT [THINK] ",
]  # fmt: skip


@pytest.mark.parametrize("unit", TAGS)
def test_linear_on_a_megabyte_of_tags(unit: str) -> None:
    for beginning in ("", "SELECT '", "<|channel|>"):
        assert is_linear(beginning, unit, 1_000_000)


@given(st.lists(st.sampled_from([*HOSTILE, "SELECT 1", "x"]), max_size=12).map("".join))
def test_never_raises_and_returns_a_part_of_the_text(text: str) -> None:
    sql = extract(text)
    assert sql == sql.strip()
    assert not sql or sql in text.replace("<think>", "").replace("</think>", "") or "think>" in text


@given(st.text())
def test_any_text(text: str) -> None:
    assert isinstance(extract(text), str)
