"""Decide which translated golds count: those that return what the gold returns on the original database.

Both queries run in the sandbox, and ``strict`` compares their rows: ordered where the gold orders, with any
of the rows that tie at its LIMIT. What was found is kept on disk, under a digest of all that it depends on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from rewards.matching.order import find_ties
from rewards.matching.order_by import find_order_by
from rewards.matching.strict import strict
from rewards.results import difference
from rewards.types import Reason
from rewards.version import code_version, scorer_version
from tasks.common import files
from tasks.common.digests import digest_of
from tasks.common.errors import DataError
from tasks.common.home import home
from tasks.databases.sandbox.executor import Executor
from tasks.databases.sandbox.pool import Sandbox
from tasks.databases.sql_text import volatile
from tasks.databases.state import database_digest, stamped
from tasks.translation import Pair, Verdict
from tasks.types import Limits, Outcome, Progress, Status

WORK = "rewards.translation:compare"
_LOST = "infrastructure"
_MESSAGES = (
    ("grouping", r"GROUP BY|aggregate|HAVING"),
    ("functions", r"function .*does not exist|No function matches|Function with name|no function"),
    (
        "types",
        r"operator does not exist|cannot be matched|invalid input|Conversion Error|Cannot (compare|mix)"
        r"|must be type|argument of|Could not convert|No operator matches|cannot be cast|Illegal mix",
    ),
    ("names", r"does not exist|not found|ambiguous|missing FROM-clause|Unknown column"),
)
"""Cause -> what the engine's message has."""
_LIMITS = frozenset({Status.TIMEOUT, Status.MEMORY, Status.TOO_MANY_ROWS})
CAUSES = {
    "syntax": "sqlglot cannot read or write it",
    "source": "the gold itself fails",
    "types": "the engine refuses the types",
    "functions": "the engine lacks a function",
    "grouping": "the engine refuses the grouping",
    "names": "the engine does not find a name",
    "engine": "the engine refuses it for another reason",
    "limits": "it exceeds the limits",
    "bare column": "ambiguous: it takes a column from any row of a group",
    "volatile": "it reads the clock or random numbers",
    "order": "the rows come in another order",
    "rows": "it returns other rows",
}
"""Why a gold is lost: word, what it means."""


def verify(pairs: Sequence[Pair], limits: Limits, progress: Progress) -> list[Verdict]:
    """The verdict on each pair, from disk if it is known there. Raises DataError: a database is lost."""
    if not pairs:
        return []
    contents = {
        database: database_digest(database) for pair in pairs for database in (pair.source, pair.copy)
    }
    versions = [scorer_version(engine) for engine in sorted({d.engine for d in contents})]
    keys = [[contents[pair.source], contents[pair.copy], pair.gold, pair.translation] for pair in pairs]
    file = home() / f"gold-{code_version()}" / f"{digest_of(keys, versions, repr(limits))}.json"
    if file.is_file():
        return [Verdict(*verdict) for verdict in json.loads(file.read_text())]
    stamps = {database: stamped(database) for database in contents}
    order = sorted(range(len(pairs)), key=lambda place: repr(pairs[place].copy.instances))
    jobs = [(stamps[pairs[place].source], stamps[pairs[place].copy], *pairs[place][2:]) for place in order]
    verdicts: dict[int, Verdict] = {}
    with Sandbox(0, limits) as sandbox, progress("golds translated", len(pairs)) as report:
        for index, result in sandbox.map(WORK, jobs):
            found = Verdict(*result) if isinstance(result, tuple) else Verdict("limits", str(result))
            if result is None or found.cause == _LOST:
                raise DataError(
                    f"the translation of golds was interrupted: {found.detail or 'a worker was lost'}"
                )
            verdicts[order[index]] = found
            report(1)
    done = [verdicts[index] for index in range(len(pairs))]
    file.parent.mkdir(parents=True, exist_ok=True)
    files.write(file, json.dumps(done).encode(), durable=False)
    return done


def compare(executor: Executor, plain_job: tuple[Any, ...]) -> tuple[str, str, bool]:
    """The verdict on one pair, in a worker."""
    pair = Pair(*plain_job)
    executor.heartbeat.mark_gold(True)
    expected = executor.run(pair.source, 0, pair.gold)
    if not expected.ok:
        lost = expected.status is Status.INFRASTRUCTURE
        return (_LOST if lost else "source"), expected.message or expected.status, False
    got = executor.run(pair.copy, 0, pair.translation)
    if not got.ok:
        return _cause(got), got.message or got.status, False
    order = find_order_by(pair.gold, pair.source.engine)

    def run(sql: str) -> Outcome:
        return executor.run(pair.source, 0, sql)

    ties = find_ties(expected, order, pair.source.engine, run) if order else None
    reason = strict(expected, got, lambda: ties.groups if ties else None, lambda: ties.cut if ties else None)
    tie = ties is not None and ties.cut is not None
    if reason is Reason.CORRECT:
        return "", "", tie
    if reason is Reason.WRONG_ORDER:
        return "order", difference(expected, got), tie
    changing = volatile(pair.gold, pair.source.engine)
    cause = "volatile" if changing else "bare column" if pair.picks else "rows"
    return cause, difference(expected, got), tie


def _cause(got: Outcome) -> str:
    if got.status is Status.INFRASTRUCTURE:
        return _LOST
    if got.status in _LIMITS:
        return "limits"
    found = (cause for cause, pattern in _MESSAGES if re.search(pattern, got.message, re.IGNORECASE))
    return next(found, "engine")
