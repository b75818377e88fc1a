"""Print text from elsewhere (names, questions, answers, error messages) on a terminal safely."""

from __future__ import annotations

import sys

HOSTILE = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"},
    **dict.fromkeys(
        [
            *range(0x7F, 0xA0),  # DEL and C1: U+009B begins an escape sequence as ESC [ does
            0x061C,
            0x200E,
            0x200F,
            *range(0x2028, 0x202F),
            *range(0x2066, 0x206A),  # line separators and direction marks
            0xFEFF,
            *range(0xD800, 0xE000),  # lone surrogates, which no encoding holds
        ],
        0xFFFD,
    ),
}
"""Characters that rewrite the screen, hide or reorder text, or cannot be printed -> their replacements."""


def visible(text: str) -> str:
    """The text with hostile characters replaced by visible ones; tabs and newlines stay."""
    return text.translate(HOSTILE)


def one_line(text: str) -> str:
    """The text as one visible line: any run of white space becomes a space."""
    return visible(" ".join(text.split()))


def say(line: str) -> None:
    """Print one line on stderr, unless stderr is closed."""
    if sys.stderr is not None:
        print(one_line(line), file=sys.stderr)
