"""Few-shot examples: questions of the training split that a prompt shows with their golds."""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import nsmallest
from itertools import chain, islice

from tasks.spec import ExamplesSpec
from tasks.types import Sample


class Examples:
    """The training samples of a task, and the rule that picks some of them for a question."""

    def __init__(self, spec: ExamplesSpec, samples: Sequence[Sample]) -> None:
        self.spec = spec
        self.samples = list(samples)
        random.Random(spec.seed).shuffle(self.samples)
        self._index = _Index([sample.question for sample in self.samples]) if spec.pick == "nearest" else None

    def pick(self, target: Sample) -> tuple[Sample, ...]:
        """The examples for a question, without the question itself. The nearest come last, next to it."""
        ranked = self._index.rank(target.question, self.spec.count) if self._index else ()
        best = (self.samples[i] for i in ranked)
        used = set(ranked)
        others = (sample for i, sample in enumerate(self.samples) if i not in used)
        usable = (sample for sample in chain(best, others) if _question(sample) != _question(target))
        picked = tuple(islice(usable, self.spec.count))
        return picked[::-1] if self._index else picked


def _question(sample: Sample) -> tuple[str, str]:
    return sample.database, " ".join(sample.question.lower().split())


class _Index:
    """Cosine of TF-IDF word vectors (Salton and Buckley 1988; idf = ln(n / documents with the word))."""

    def __init__(self, texts: Sequence[str]) -> None:
        words = [Counter(_words(text)) for text in texts]
        documents = Counter(chain.from_iterable(words))
        self._idf = {word: math.log(len(texts) / count) for word, count in documents.items()}
        self._postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for i, counts in enumerate(words):
            for word, weight in self._vector(counts).items():
                self._postings[word].append((i, weight))

    def rank(self, text: str, count: int) -> list[int]:
        """Indices of texts that share a word with ``text``, the nearest first: a few more than ``count``."""
        scores: defaultdict[int, float] = defaultdict(float)
        for word, weight in self._vector(Counter(_words(text))).items():
            for i, other in self._postings.get(word, ()):
                scores[i] += weight * other
        spare = 8  # for the question itself and its duplicates
        return nsmallest(count + spare, scores, key=lambda i: (-scores[i], i))

    def _vector(self, counts: Counter[str]) -> dict[str, float]:
        weights = {word: count * self._idf.get(word, 0.0) for word, count in counts.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {word: weight / length for word, weight in weights.items() if weight}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
