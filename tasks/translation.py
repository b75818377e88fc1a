"""Translate the golds of a split to another engine, and keep those that return the same rows there.

The rows are compared by the scorer's rule, in the sandbox. That is code of the level above, so it is named
here as text, as the sandbox's jobs are, and loaded when golds are translated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from tasks.common.named_code import load_object
from tasks.databases.dialects.translate import Translator, Untranslatable
from tasks.databases.schema import describe
from tasks.types import Database, Limits, LostGold, Progress, Sample

VERIFY = "rewards.translation:verify"
"""``verify(pairs, limits, progress)``: for each Pair its Verdict."""


class Pair(NamedTuple):
    """A gold on its database, and its translation on a copy of that."""

    source: Database
    copy: Database
    gold: str
    translation: str
    picks: bool
    """Whether the gold takes a column from some row of a group."""


class Verdict(NamedTuple):
    """``cause`` "": both return the same rows. ``tie``: the gold's LIMIT cuts through rows that tie."""

    cause: str = ""
    detail: str = ""
    tie: bool = False


def translated(
    samples: Sequence[Sample],
    databases: Sequence[tuple[Database, Database]],
    limits: Limits,
    progress: Progress,
) -> tuple[list[Sample], tuple[LostGold, ...]]:
    """The samples with those golds that can be translated, without samples that have none; the lost golds.

    ``databases``: for each sample its database and the copy. Raises DataError: a database cannot be read.
    """
    translators: dict[tuple[Database, Database], Translator] = {}
    found: list[Pair | LostGold] = []
    for sample, pair in zip(samples, databases, strict=True):
        source, copy = pair
        if pair not in translators:
            translators[pair] = Translator(describe(source), describe(copy), source.engine, copy.engine)
        found += [_pair(sample, gold, translators[pair], source, copy) for gold in sample.gold]
    pairs = [one for one in found if isinstance(one, Pair)]
    verdicts = iter(load_object(VERIFY)(pairs, limits, progress))
    remaining = iter(found)
    kept, lost = [], []
    for sample in samples:
        golds = []
        for one in islice(remaining, len(sample.gold)):
            judged = one if isinstance(one, LostGold) else _judged(sample, one, next(verdicts))
            if isinstance(judged, LostGold):
                lost.append(judged)
            else:
                golds.append(judged)
        if golds:
            kept.append(replace(sample, gold=tuple(golds)))
    return kept, tuple(lost)


def _pair(
    sample: Sample, gold: str, translator: Translator, source: Database, copy: Database
) -> Pair | LostGold:
    """The gold with its translation, or why there is none."""
    try:
        return Pair(source, copy, gold, *translator.translate(gold))
    except Untranslatable as error:
        return LostGold(sample.id, sample.database, "syntax", str(error), gold)


def _judged(sample: Sample, pair: Pair, verdict: Verdict) -> str | LostGold:
    """The translation, or why it does not count."""
    if not verdict.cause:
        return pair.translation
    return LostGold(sample.id, sample.database, verdict.cause, verdict.detail, pair.gold, pair.translation)
