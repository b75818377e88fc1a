"""Estimate how many tokens a schema takes, for every model alike: a budget must not change with the model.

A word of a name counts as a token for each LONGEST letters, a word in capitals for each four; a letter beyond
ASCII, a digit, an underscore, two marks and an indentation count as one; a space belongs to the next word.
The estimate of a schema is within about 15 % of what SmolLM2's tokenizer counts; ``benchmarks/linking.py``
prints the error.
"""

from __future__ import annotations

import re

LONGEST = 5
"""Letters of a word that one token covers: names are rarer in a tokenizer's training than prose."""
_TOKENS = re.compile(
    rf"[A-Z]{{1,4}}(?![a-z])|[A-Z]?[a-z]{{1,{LONGEST}}}|[^\W\d_]|\d|_|[^\w\s]{{1,2}}|\s{{2,}}|\n"
)


def estimate(text: str) -> int:
    """About the number of tokens of a schema's text."""
    return len(_TOKENS.findall(text))
