"""Rank the tables and columns of a database for a question by BM25.

A table is a document with the fields name, columns and comments (BM25F: Robertson, Zaragoza and Taylor 2004),
a column one with its name and comment. A value of the question that a column holds counts for both.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tasks.linking.terms import name_terms, partial, pieces, question_terms
from tasks.types import Table

K1 = 1.2
"""Saturation of a term that occurs often, as usual for BM25."""
NAME, COLUMN, COMMENT = 3.0, 1.0, 0.5
"""Weights of a table's name, of its columns' names, and of comments."""
LENGTH = 0.5
"""How much a long field counts less, from 0 to 1 (``b`` of BM25)."""
VALUE = 1.0
"""Weight of a value that occurs in the question, for its table and its column."""
FEWEST = 2
"""Places in a database at which a part of a compound name must occur as a word."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scores for one question: of each table, and of those columns of a table that have any."""

    tables: Sequence[float]
    columns: Mapping[int, Mapping[int, float]]


class Index:
    """The terms of a database's tables and columns. Building takes time linear in the text of the schema."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables
        vocabulary = _vocabulary(tables)
        names = [name_terms(table.name, vocabulary) for table in tables]
        columns = [[name_terms(column.name, vocabulary) for column in table.columns] for table in tables]
        comments = [[name_terms(column.comment) for column in table.columns] for table in tables]
        self._by_table = _Documents()
        self._by_column = _Documents()
        widths = [_length(terms) for terms in columns]
        typical = sum(widths) / max(len(widths), 1) or 1.0
        self._places: list[tuple[int, int]] = []
        for place, table in enumerate(tables):
            own: defaultdict[str, float] = defaultdict(float)
            _add(own, names[place], NAME / _norm(len(names[place]), 2.0))
            _add(own, name_terms(table.comment), COMMENT)
            for terms in columns[place]:
                _add(own, terms, COLUMN / _norm(widths[place], typical))
            for terms in comments[place]:
                _add(own, terms, COMMENT / _norm(_length(comments[place]), 3 * typical))
            self._by_table.add(own)
            for number, (terms, comment) in enumerate(zip(columns[place], comments[place], strict=True)):
                document: defaultdict[str, float] = defaultdict(float)
                _add(document, terms, NAME / _norm(len(terms), 2.0))
                _add(document, comment, COMMENT)
                self._by_column.add(document)
                self._places.append((place, number))
        self._named = {
            ".".join(filter(None, (table.schema, table.name, column.name))): (place, number)
            for place, table in enumerate(tables)
            for number, column in enumerate(table.columns)
        }

    def rank(self, question: str, values: Mapping[str, Sequence[str]]) -> Ranking:
        """The scores for a question. ``values``: ``table.column`` -> its values that occur in it."""
        terms = question_terms(question)
        found = self._by_table.scores(terms)
        tables = [found.get(place, 0.0) for place in range(len(self._tables))]
        columns: defaultdict[int, dict[int, float]] = defaultdict(dict)
        for document, score in self._by_column.scores(terms).items():
            place, number = self._places[document]
            columns[place][number] = score
        best: defaultdict[int, float] = defaultdict(float)
        for (place, number), score in self._values(values).items():
            columns[place][number] = columns[place].get(number, 0.0) + score
            best[place] = max(best[place], score)
        for place, score in best.items():
            tables[place] += score
        return Ranking(tables, columns)

    def _values(self, values: Mapping[str, Sequence[str]]) -> dict[tuple[int, int], float]:
        """The score of each column that holds a value: the more words and the fewer columns, the higher."""
        holders: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for name, texts in values.items():
            if place := self._named.get(name):
                for text in {" ".join(pieces(text)) for text in texts}:
                    holders[text].append(place)
        scores: defaultdict[tuple[int, int], float] = defaultdict(float)
        for text, places in holders.items():
            words = math.sqrt(text.count(" ") + 1)
            for place in places:
                rarity = _idf(len(places), len(self._places))
                scores[place] = max(scores[place], VALUE * words * rarity)
        return scores


class _Documents:
    """The terms of documents with their frequencies, and their BM25 scores."""

    def __init__(self) -> None:
        self._postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self._matches: dict[str, dict[str, float]] = {}
        """Term of a question -> the terms of documents that it matches, with the weight of the match."""
        self.count = 0

    def add(self, terms: Mapping[str, float]) -> None:
        """Add a document with the weighted frequencies of its terms."""
        for term, frequency in terms.items():
            self._postings[term].append((self.count, frequency))
        self.count += 1

    def scores(self, terms: Mapping[str, float]) -> Mapping[int, float]:
        """The scores of the documents that have a term of a question."""
        scores: defaultdict[int, float] = defaultdict(float)
        for term, weight in terms.items():
            best: dict[int, float] = {}
            for other, match in self._matching(term).items():
                postings = self._postings[other]
                rarity = weight * match * _idf(len(postings), self.count)
                for document, frequency in postings:
                    score = rarity * frequency * (K1 + 1) / (frequency + K1)
                    best[document] = max(best.get(document, 0.0), score)
            for document, score in best.items():
                scores[document] += score
        return scores

    def _matching(self, term: str) -> dict[str, float]:
        if term not in self._matches:
            found = {other: match for other in self._postings if (match := partial(term, other))}
            self._matches[term] = found | ({term: 1.0} if term in self._postings else {})
        return self._matches[term]


def _idf(documents: int, total: int) -> float:
    return math.log(1 + (total - documents + 0.5) / (documents + 0.5))


def _norm(length: float, typical: float) -> float:
    return 1 - LENGTH + LENGTH * length / typical


def _length(terms: Iterable[Mapping[str, float]]) -> int:
    return sum(map(len, terms))


def _add(into: defaultdict[str, float], terms: Mapping[str, float], weight: float) -> None:
    for term, frequency in terms.items():
        into[term] += frequency * weight


def _vocabulary(tables: Sequence[Table]) -> frozenset[str]:
    """The words that occur in several names, of which a name written in one word may consist."""
    counts: defaultdict[str, int] = defaultdict(int)
    for table in tables:
        for name in (table.name, *(column.name for column in table.columns)):
            for piece in set(pieces(name)):
                counts[piece] += 1
    return frozenset(word for word, count in counts.items() if count >= FEWEST and len(word) > 1)
