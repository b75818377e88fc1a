"""What a database would tell anyone about an answer, to be answered again. The gold has no part in it."""

from __future__ import annotations

from rewards.types import OURS, Attempt, Reason

ASK = "Answer again with one corrected query."


def feedback(attempt: Attempt) -> str:
    """The next user message, or "" where the answer ran and returned rows: nothing speaks against it."""
    if attempt.reason in OURS:
        return ""
    if attempt.reason is Reason.NO_SQL:
        return f"Your answer has no query in it. {ASK}"
    if not attempt.executes:
        return f"Your query failed: {attempt.detail or attempt.reason.value}. {ASK}"
    if attempt.rows == 0:
        return f"Your query returns no rows. {ASK}"
    return ""
