"""What a database would tell anyone about an answer, to be answered again. The gold has no part in it."""

from __future__ import annotations

from rewards.extract import extract
from rewards.types import OURS, Attempt, Reason

ASK = "Answer again with one corrected query."
CONFIRM = "Give the same query again if that answers the question, else one corrected query."


def feedback(attempt: Attempt, before: str = "") -> str:
    """The next user message, or "" where the answer stands; ``before`` is the text of the answer before it.

    An answer stands that ran and returned rows. Where the scoring has them shown (``feedback_rows``), it
    stands once it is given twice.
    """
    if attempt.reason in OURS:
        return ""
    if attempt.reason is Reason.NO_SQL:
        return f"Your answer has no query in it. {ASK}"
    if not attempt.executes:
        return f"Your query failed: {attempt.detail or attempt.reason.value}. {ASK}"
    if attempt.rows == 0:
        return f"Your query returns no rows. {ASK}"
    if attempt.preview and attempt.sql != extract(before):
        columns, *rows = attempt.preview
        of = f"{len(rows)} of its {attempt.rows} rows" if len(rows) < attempt.rows else "its rows"
        return "\n".join([f"Your query returns {columns}, {of}:", *rows, CONFIRM])
    return ""
