"""Separate a model's thoughts from its answer, by the same rule for every model, runner and trainer.

Models mark thoughts with tags (``<think>``, ``[THINK]``, ``<|begin_of_thought|>``, ...) or with channels
(harmony). Some chat templates open a thought at the end of the prompt: then the completion has no opening
tag, and a completion that was cut has no tag at all. So every runner puts ``opening_tag(prompt)`` in front of
a completion, and ``without_thoughts`` reads the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_NAMES = (
    "think|thinks|thinking|thought|thoughts|reasoning|reason|rationale|analysis|reflection|scratchpad"
    "|monologue|cot"
)
ATTRIBUTES = r"""(?:\s{1,9}[\w:.-]{1,40}=(?:"[^"<>\n]{0,80}"|'[^'<>\n]{0,80}'|[\w.-]{1,40})){0,5}\s{0,9}"""
"""What may follow the name in an XML tag; ``a <think AND b> 3`` is no tag."""
_TAG = re.compile(
    rf"""
      <(?:(?P<xml_end>/)\s{{0,3}})?(?P<xml>(?:[a-z]\w{{0,20}}[:_])?(?:{_NAMES})){ATTRIBUTES}>
    | \[(?P<square_end>/?)(?P<square>(?-i:THINK))\]
    | ◁(?P<kimi_end>/?)(?P<kimi>{_NAMES})▷
    | <\|(?P<words_end>begin|start|end)_?(?:of_?)?(?P<words>{_NAMES})\|>
    | <\|(?P<pipe_end>/?)(?P<pipe>{_NAMES})\|> | <\|(?P<tail>{_NAMES})_(?P<tail_end>begin|start|end)\|>
    | <\|inner_(?:prefix|(?P<inner_end>suffix))\|>
    | <\|channel>(?:{_NAMES})\b | (?P<gemma_end><channel\|>)
    | <unused94>(?:thought)? | (?P<unused_end><unused95>)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Opening and closing tags of DeepSeek, Qwen, SmolLM3, Phi and others (``<think>``), Seed and LongCat
(``<seed:think>``), Magistral (``[THINK]``), Kimi (``◁think▷``), OpenThinker (``<|begin_of_thought|>``),
Command A (``<|START_THINKING|>``), Apertus (``<|inner_prefix|>``) and Gemma (``<|channel>thought``)."""
_STARTS = "<[◁"
"""The first characters of all tags."""
_ENDS = (
    "xml_end",
    "square_end",
    "kimi_end",
    "words_end",
    "pipe_end",
    "tail_end",
    "inner_end",
    "gemma_end",
    "unused_end",
)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*+(?P<name>\w++)[^<]{0,100}(?:<\|constrain\|>[^<]{0,100})?<\|message\|>"
)
_HARMONY = re.compile(r"\A\s*+<\|channel\|>|<\|start\|>assistant<\|channel\|>")
_MESSAGE_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_STRIPPED = re.compile(r"\A\s*(?:analysis|commentary)(?=[A-Za-z0-9\"'(`])")
"""Harmony decoded without its special tokens: ``analysisWe need ...assistantfinalSELECT 1``."""
_FINAL = "assistantfinal"
_GRANITE = re.compile(r"\A\s*+here(?: is|'s) my thought process:", re.IGNORECASE)
_GRANITE_END = re.compile(r"here(?: is|'s) my response:", re.IGNORECASE)
_QUOTES = "'\"`"
_NEAR = 200
"""Characters around a tag that are searched for quotes, which make it a value."""

MARKERS = re.compile(
    rf"{_TAG.pattern} | <\|(?:channel|message|start|end|return|constrain|call)\|>", _TAG.flags
)
"""Texts of the special tokens that decoding must keep."""


_CLOSINGS = (
    (r"<\|channel\|>.*", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    (r"<\|inner_prefix\|>", "<|inner_suffix|>"),
    (r"<\|channel>.*", "<channel|>"),
    (r"<unused94>.*", "<unused95>"),
    (r"(<\|.*)(?:BEGIN|START)", r"\1END"),
    (r"(<\|.*)(?:begin|start)", r"\1end"),
    (r"<\|", "<|/"),
    (r"<([\w:]+).*>", r"</\1>"),
    (r"([\[◁])", r"\1/"),
)
"""Pattern of an opening tag -> the tag that closes its thought."""


def opening_tag(prompt: str) -> str:
    """The tag that opens a thought at the very end of a rendered prompt; "" if there is none.

    The caller puts it in front of the completion's text. Only a tag at the end counts: a tag that a question
    or a system prompt mentions is followed by text of the template.
    """
    end = prompt[-_NEAR:].rstrip()
    for tag in _TAG.finditer(end):
        if tag.end() == len(end) and not _role(tag[0])[0]:
            return tag[0]
    for channel in _CHANNEL.finditer(end):
        if channel.end() == len(end) and channel["name"] != "final":
            return channel[0]
    return ""


def closing_tag(opening: str) -> str:
    """The tag that closes a thought which this one opened.

    >>> closing_tag("<think>"), closing_tag("[THINK]"), closing_tag("<|START_THINKING|>")
    ('</think>', '[/THINK]', '<|END_THINKING|>')
    """
    for pattern, closing in _CLOSINGS:
        if re.match(pattern, opening):
            return re.sub(pattern, closing, opening, count=1)
    raise ValueError(f"{opening} opens no thought")


def has_tag(text: str) -> bool:
    """Whether a text has a tag or a channel of thoughts."""
    return _TAG.search(text) is not None or _CHANNEL.search(text) is not None


def closes_first(text: str) -> bool:
    """Whether the first tag of a text closes a thought, so that the prompt must have opened it."""
    tag = _TAG.search(text)
    return tag is not None and _role(tag[0])[0] and not is_quoted(text, tag)


def without_thoughts(text: str, begins: Callable[[str], bool]) -> str:
    """The answer in a completion; "" where its thoughts do not end.

    With tags, everything from an opening to its closing tag is removed, and so is everything before a closing
    tag without an opening one. With channels, the last ``final`` one is the answer. A tag in quotes, inside a
    statement or only mentioned, cuts nothing. ``begins`` says whether a text begins with SQL or with a fence.
    """
    if "<|channel|>" in text and (_HARMONY.search(text) or _CHANNEL.search(text)):
        return _final_channel(text)
    if _GRANITE.match(text):
        text = _GRANITE_END.split(text)[-1] if _GRANITE_END.search(text) else ""
    elif _STRIPPED.match(text):
        _, final, after = text.rpartition(_FINAL)
        text = after if final else ""
    elif text.lstrip().startswith("final") and begins(text.lstrip()[len("final") :][:_NEAR]):
        text = text.lstrip()[len("final") :]
    return _outside_tags(text, begins)


def _final_channel(text: str) -> str:
    answer = ""
    for channel in _CHANNEL.finditer(text):
        if channel["name"] == "final":
            end = _MESSAGE_END.search(text, channel.end())
            answer = text[channel.end() : end.start() if end else len(text)]
    return answer


def _outside_tags(text: str, begins: Callable[[str], bool]) -> str:
    if not any(start in text for start in _STARTS):
        return text
    kept: list[str] = []
    position, open_kind = 0, ""
    counted = fences = 0
    quoted = any(quote in text for quote in _QUOTES)
    last_square = text.rfind("[/THINK]")
    for tag in _TAG.finditer(text):
        closes, kind = _role(tag[0])
        if (open_kind and not (closes and kind == open_kind)) or (quoted and _is_named(text, tag)):
            continue
        fences += text.count("```", counted, tag.start())
        counted = tag.start()
        column = tag["square"] is not None and not closes and last_square < tag.start()
        if not open_kind and (column or (quoted and is_quoted(text, tag, position))):
            begun = fences % 2 == 1 or begins(text[position : position + _NEAR])
            if begun and (column or not begins(text[tag.end() : tag.end() + _NEAR])):
                continue
        if closes:
            if not open_kind:
                kept.clear()
            position, open_kind, counted, fences = tag.end(), "", tag.end(), 0
        else:
            kept.append(text[position : tag.start()])
            open_kind = kind
    return "" if open_kind else "".join([*kept, text[position:]])


@lru_cache(maxsize=1024)
def _role(text: str) -> tuple[bool, str]:
    """Whether a tag closes a thought, and the name that it shares with its opening tag."""
    tag = _TAG.fullmatch(text)
    assert tag is not None, "the text of a match"
    closes = any(tag[name] and tag[name].lower() not in ("begin", "start") for name in _ENDS)
    name = tag["xml"] or tag["kimi"] or tag["words"] or tag["pipe"] or tag["tail"]
    if name:
        return closes, f"{text[0]}{name.lower()}"
    name = next(kind for kind in ("think", "inner", "channel", "unused") if kind in text.lower())
    return closes, name


def _is_named(text: str, tag: re.Match[str]) -> bool:
    """Whether a tag is only mentioned: it is directly between two quotes of one kind, no fences."""
    before, after = text[max(0, tag.start() - 2) : tag.start()], text[tag.end() : tag.end() + 2]
    quote = before[-1:]
    return quote != "" and quote in _QUOTES and after[:1] == quote and "``" not in (before, after)


def is_quoted(text: str, tag: re.Match[str], start: int = 0) -> bool:
    """Whether the same quote is on both sides of a tag, on its line."""
    before = text[max(start, tag.start() - _NEAR) : tag.start()].rpartition("\n")[2]
    after = text[tag.end() : tag.end() + _NEAR].partition("\n")[0]
    return any(quote in before and quote in after for quote in _QUOTES)
