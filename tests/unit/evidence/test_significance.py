"""Exact tails against scipy and against brute force; the screen; Benjamini and Hochberg."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, hypergeom

from ehrlich.evidence.significance import (
    Floats,
    Ints,
    PairMargins,
    may_pass,
    q_values,
    upper_tail,
)


def drawn(pairs: int, strata: int, largest: int) -> tuple[Ints, PairMargins]:
    """Margins of all sizes, and joint counts from below the mean to twelve sd above."""
    draw = np.random.default_rng(pairs + strata + largest)
    units = draw.integers(0, largest, (pairs, strata))
    target = draw.binomial(units, draw.beta(0.5, 2, (pairs, 1)))
    history = draw.binomial(units, draw.beta(0.5, 2, (pairs, strata)))
    margins = PairMargins(target, history, units)
    away = draw.integers(-3, 12, pairs) * np.sqrt(margins.variance())
    return np.maximum(np.rint(margins.expected() + away), 0).astype(np.int64), margins


def brute(both: Ints, margins: PairMargins) -> Floats:
    """By convolving scipy's pmfs."""
    tails = []
    for place, count in enumerate(both):
        law = np.ones(1)
        for target, history, units in zip(*(part[place] for part in margins), strict=True):
            if units:
                values = np.arange(min(target, history) + 1)
                law = np.convolve(law, hypergeom.pmf(values, units, target, history))
        tails.append(law[count:].sum())
    return np.array(tails)


@pytest.mark.parametrize("largest", [4, 40, 1000, 20000])
def test_one_stratum_is_scipys_hypergeometric(largest: int) -> None:
    both, margins = drawn(500, 1, largest)
    target, history, units = (part[:, 0] for part in margins)
    exact = np.where(units > 0, hypergeom.sf(both - 1, units, target, history), both <= 0)
    sure = exact > 1e-280
    np.testing.assert_allclose(upper_tail(both, margins)[sure], exact[sure], rtol=1e-8)


@pytest.mark.parametrize("largest", [4, 40, 400])
@pytest.mark.parametrize("strata", [2, 5, 16])
def test_several_strata_are_the_convolution(strata: int, largest: int) -> None:
    both, margins = drawn(150, strata, largest)
    exact = brute(both, margins)
    sure = exact > 1e-280
    np.testing.assert_allclose(upper_tail(both, margins)[sure], exact[sure], rtol=1e-8)


def test_tails_at_the_ends_of_the_support() -> None:
    margins = PairMargins(np.array([[3, 2]] * 4), np.array([[2, 4]] * 4), np.array([[9, 5]] * 4))
    highest, lowest = 4, 1
    tails = upper_tail(np.array([lowest, 0, highest, highest + 1]), margins)
    assert tails[:2] == pytest.approx([1, 1])
    assert tails[2] == pytest.approx(brute(np.array([highest]), margins)[0])
    assert tails[3] == 0


def test_the_screen_keeps_what_is_under_the_cut_and_drops_much() -> None:
    both, margins = drawn(4000, 6, 300)
    exact = upper_tail(both, margins)
    kept = may_pass(both, margins.expected(), variance=margins.variance(), cut=0.05)
    assert kept[exact <= 0.05].all()
    assert kept[exact > 0.05].mean() < 0.5


def test_a_poisson_tail_alone_would_lose_pairs() -> None:
    # Half of all units hold either: the Poisson law is then far too wide.
    margins = PairMargins(np.array([[10]]), np.array([[10]]), np.array([[20]]))
    both = np.array([8])
    expected, variance = margins.expected(), margins.variance()
    assert upper_tail(both, margins)[0] < 0.05
    assert 1 - sum(np.exp(-5) * 5.0**k / np.prod(np.arange(1.0, k + 1)) for k in range(8)) > 0.1
    assert may_pass(both, expected, variance=variance, cut=0.05)[0]


def test_q_values_are_scipys() -> None:
    p = np.random.default_rng(5).random(200) ** 3
    np.testing.assert_allclose(q_values(p, 200), false_discovery_control(p))


def test_q_values_of_the_smallest_know_of_the_others() -> None:
    p = np.random.default_rng(6).random(500) ** 3
    whole = false_discovery_control(p)
    least = p <= 0.05
    part = q_values(p[least], 500)
    under = whole[least] <= 0.05
    np.testing.assert_allclose(part[under], whole[least][under])
    assert (part[~under] > 0.05).all()
