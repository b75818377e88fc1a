"""Estimators over several answers to one question."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The probability that at least one of k answers, drawn from n of which ``correct`` are right, is right.

    Source: M. Chen et al., "Evaluating Large Language Models Trained on Code" (2021), equation 1, unbiased:
    1 - C(n - correct, k) / C(n, k). Needs 1 <= k <= n and 0 <= correct <= n.
    """
    if not (1 <= k <= n and 0 <= correct <= n):
        raise ValueError(f"pass@{k} of {correct} right in {n} answers")
    return 1 - math.comb(n - correct, k) / math.comb(n, k)


def best_of_k(answers: Sequence[tuple[float, float]], k: int) -> float:
    """The expected value of the best-rewarded of k answers, drawn without replacement from these.

    ``answers`` are (reward, value); of equal rewards each is as likely to be picked. The i-th smallest reward
    (from 0) is the largest of C(i, k - 1) of the C(n, k) subsets. Needs 1 <= k <= n.
    """
    n = len(answers)
    if not 1 <= k <= n:
        raise ValueError(f"the best of {k} of {n} answers")
    groups: dict[float, list[float]] = {}
    for reward, value in answers:
        groups.setdefault(reward, []).append(value)
    total, i = 0.0, 0
    for reward in sorted(groups):
        share = sum(groups[reward]) / len(groups[reward])
        for _ in groups[reward]:
            total += math.comb(i, k - 1) * share
            i += 1
    return total / math.comb(n, k)
