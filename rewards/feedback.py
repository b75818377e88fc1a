"""The database's feedback on an answer, for asking the model again. It reveals nothing of the gold."""

from __future__ import annotations

from rewards.extract import extract
from rewards.types import UNSCORED, Attempt, Reason

ASK = "Answer again with one corrected query."
CONFIRM = "Give the same query again if that answers the question, else one corrected query."


def feedback(attempt: Attempt, previous: str = "") -> str:
    """The next user message, or "" where the answer is final. ``previous``: the answer of the turn before.

    An answer that ran and returned rows is final. If the scoring shows rows (``feedback_rows``), it is final
    once the model has given the same query twice.
    """
    if attempt.reason in UNSCORED:
        return ""
    if attempt.reason is Reason.NO_SQL:
        return f"Your answer has no query in it. {ASK}"
    if not attempt.executes:
        return f"Your query failed: {attempt.detail or attempt.reason.value}. {ASK}"
    if attempt.rows == 0:
        return f"Your query returns no rows. {ASK}"
    if attempt.preview and attempt.sql != extract(previous):
        columns, *rows = attempt.preview
        count = f"{len(rows)} of its {attempt.rows} rows" if len(rows) < attempt.rows else "its rows"
        return "\n".join([f"Your query returns {columns}, {count}:", *rows, CONFIRM])
    return ""
