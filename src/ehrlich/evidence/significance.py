"""How surprising a joint count is: exact tails within strata, and the false discovery rate.

Given its margins, a joint count of independent concepts is hypergeometric; over strata it is a sum
of independent hypergeometrics. Either is a sum of independent yes/no draws, which is what the
screen rests on. Stands below `cooccurrence.py`; knows numbers only.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft
from scipy.special import gammaln, ndtr, pdtrc

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

BLOCK = 1 << 21  # numbers in one temporary of the convolution: 16 MB
LOST = 36.0  # mass under exp(-LOST) is left out
STEEPEST = 40.0  # of a tilt: exp(40) is certainty


class PairMargins(NamedTuple):
    """Of each pair and stratum (pairs x strata): with target, with history; `units`: in all."""

    target: Ints
    history: Ints
    units: Ints

    def rows(self, chosen: Bools | Ints | slice) -> PairMargins:
        """Those of some pairs."""
        return PairMargins(self.target[chosen], self.history[chosen], self.units[chosen])

    def expected(self) -> Floats:
        """The mean of the joint count under independence within strata."""
        share = self.history / np.maximum(self.units, 1)
        return np.asarray((self.target * share).sum(axis=1))

    def variance(self) -> Floats:
        """The variance of the joint count under independence within strata."""
        n = np.maximum(self.units, 2).astype(np.float64)
        left = (1 - self.target / n) * (1 - self.history / n) * n / (n - 1)
        within = np.where(self.units > 1, self.target * (self.history / n) * left, 0.0)
        return np.asarray(within.sum(axis=1))


def may_pass(both: Ints, expected: Floats, *, variance: Floats, cut: float) -> Bools:
    """Whether the exact tail may be `cut` or less; never False where it is. `cut` < 1/2.

    Three bounds on sums of independent yes/no draws. A count at or below the whole part of the mean
    is at most a median, so its tail is 1/2 or more (Jogdeo and Samuels 1968). No event's
    probability is further from the Poisson law of the same mean than
    min(1, 1 / mean) * (mean - variance) (Barbour and Hall 1984), and no tail further from the
    normal law than 0.56 / sd (Berry and Esseen; constant of Shevtsova 2010). A Poisson tail alone
    would lose pairs: it is too large where margins are.
    """
    poisson = pdtrc(both - 1.0, expected)
    apart = np.minimum(1.0, 1.0 / np.maximum(expected, 1.0)) * np.maximum(expected - variance, 0)
    sd = np.sqrt(np.maximum(variance, 1e-300))
    normal = ndtr((expected - both + 1) / sd)
    # The slack is for rounding.
    least = np.maximum(poisson - apart, normal - 0.56 / sd) - 1e-9
    return np.asarray((both > np.floor(expected + 1e-9)) & (least <= cut))


def upper_tail(both: Ints, margins: PairMargins) -> Floats:
    """P(joint count >= both) of each pair, exact: (sum of) hypergeometrics by its margins.

    Relative precision is about 1e-9 however small the tail, until it underflows at 1e-308.
    """
    if not both.size:
        return np.zeros(0)
    if margins.units.shape[1] == 1:
        return hypergeometric_tail(both, PairMargins(*(part[:, 0] for part in margins)))
    return stratified_tail(both, margins)


def hypergeometric_tail(both: Ints, margins: PairMargins) -> Floats:
    """P(X >= both) of each pair, of one stratum (margins of one dimension).

    Sums the terms outwards from `both`, away from the mean, by the ratio of neighbours: they only
    get smaller, so a tail takes a few steps.
    """
    target, history, units = (part.astype(np.float64) for part in margins)
    lowest = np.maximum(target + history - units, 0)
    highest = np.minimum(target, history)
    upper = both > target * history / np.maximum(units, 1)
    step = np.where(upper, 1.0, -1.0)
    at = np.where(upper, both, both - 1.0)
    inside = (at >= lowest) & (at <= highest)
    table = _log_factorials(int(margins.units.max(initial=0)))
    first = np.exp(_log_pmf(at.astype(np.int64), margins, inside, table=table))
    total, term = first.copy(), first.copy()
    going = np.flatnonzero(inside)
    while going.size:
        x = at[going]
        t, h, n = target[going], history[going], units[going]
        with np.errstate(divide="ignore", invalid="ignore"):
            up = (t - x) * (h - x) / ((x + 1) * (n - t - h + x + 1))
            down = x * (n - t - h + x) / ((t - x + 1) * (h - x + 1))
        term[going] *= np.where(upper[going], up, down)
        total[going] += term[going]
        at[going] += step[going]
        going = going[term[going] > total[going] * 1e-16]
    return np.clip(np.where(upper, total, 1 - total), 0, 1)


def stratified_tail(both: Ints, margins: PairMargins) -> Floats:
    """P(sum over strata >= both) of each pair, by convolution of the strata's pmfs.

    A count below the mean is turned round: without the history concept it is above. Each pmf is
    then tilted by exp(theta * x), theta such that the tilted mean is about `both`: the tilted sum
    is large where the tail is, and the Fourier transform, whose error is absolute, keeps relative
    precision however small the tail.
    """
    below = both <= margins.expected()
    turned = np.where(below[:, None], margins.units - margins.history, margins.history)
    others = margins.target.sum(axis=1) - both + 1
    p = _tail_above(np.where(below, others, both), margins._replace(history=turned))
    return np.where(below, 1 - p, p)


def _tail_above(both: Ints, margins: PairMargins) -> Floats:
    """The tail of counts that are above their mean."""
    tilt = _tilt(both, margins)
    variance = _tilted(tilt, margins)[1].sum(axis=1)
    lowest, highest = _support(margins)
    span = (highest - lowest).sum(axis=1) + 1
    # Bernstein's bound says how far from its mean a sum of yes/no draws can be found.
    reach = LOST / 3 + np.sqrt(LOST**2 / 9 + 2 * LOST * 1.5 * variance)
    width = np.minimum(span, 2 * np.ceil(reach).astype(np.int64) + 2)
    sizes = np.exp2(np.ceil(np.log2(np.maximum(width, 8)))).astype(np.int64)
    table = _log_factorials(int(margins.units.max(initial=0)))
    p = np.empty(both.size)
    for size in np.unique(sizes):
        pairs = np.flatnonzero(sizes == size)
        each = max(1, BLOCK // int(size * margins.units.shape[1]))
        for start in range(0, pairs.size, each):
            some = pairs[start : start + each]
            p[some] = _tail_of(
                both[some], margins.rows(some), tilt=tilt[some], size=int(size), table=table
            )
    return np.where(both > highest.sum(axis=1), 0.0, np.clip(p, 0, 1))


def _tail_of(both: Ints, margins: PairMargins, *, tilt: Floats, size: int, table: Floats) -> Floats:
    """The tail of each pair, on windows of `size` values a stratum."""
    lowest, highest = _support(margins)
    centre = np.rint(_tilted(tilt, margins)[0]).astype(np.int64)
    start = np.clip(centre - size // 2, lowest, np.maximum(highest - size + 1, lowest))
    values = start[:, :, None] + np.arange(size)
    inside = values <= highest[:, :, None]
    wide = PairMargins(*(part[:, :, None] for part in margins))
    weight = _log_pmf(np.minimum(values, highest[:, :, None]), wide, inside, table=table)
    weight += tilt[:, None, None] * values
    peak = weight.max(axis=2, keepdims=True)
    mass = np.exp(weight - peak)
    sums = mass.sum(axis=2, keepdims=True)
    # The transform is cyclic: what lies more than `size` away from the mean is next to nothing.
    tilted = irfft(rfft(mass / sums, axis=2).prod(axis=1), size, axis=1)
    log_total = (peak + np.log(sums)).sum(axis=(1, 2))
    first = start.sum(axis=1)
    steps = np.arange(size)
    last = highest.sum(axis=1)
    place = (both[:, None] + steps - first[:, None]) % size
    reached = (both[:, None] + steps <= last[:, None]) & (steps < _half(size, first, both))
    terms = np.take_along_axis(tilted, place, axis=1) * np.exp(-tilt[:, None] * steps)
    tail = np.where(reached, np.maximum(terms, 0), 0).sum(axis=1)
    return np.asarray(tail * np.exp(np.minimum(log_total - tilt * both, 700)))


def _half(size: int, first: Ints, both: Ints) -> Ints:
    """How many values from `both` on are above it, rather than below it and wrapped round."""
    below = np.minimum(np.maximum(both - first, 0), size // 2)
    return np.asarray(size - below)[:, None]


def _tilt(both: Ints, margins: PairMargins) -> Floats:
    """Of each pair the theta, from 0, at which the tilted mean is about `both`; by bisection."""
    low = np.zeros(both.size)
    high = np.full(both.size, STEEPEST)
    for _ in range(24):
        middle = (low + high) / 2
        under = _tilted(middle, margins)[0].sum(axis=1) < both
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return np.asarray(high)


def _tilted(tilt: Floats, margins: PairMargins) -> tuple[Floats, Floats]:
    """About the mean and the variance of each stratum after tilting (Cornfield 1956)."""
    target, history, units = (part.astype(np.float64) for part in margins)
    grown = np.expm1(tilt)[:, None]
    linear = units + grown * (target + history)
    product = (grown + 1) * target * history
    root = np.sqrt(np.maximum(linear**2 - 4 * grown * product, 0))
    mean = 2 * product / np.maximum(linear + root, 1e-300)
    cells = (mean, target - mean, history - mean, units - target - history + mean)
    with np.errstate(divide="ignore"):
        variance = 1 / sum(1 / np.maximum(cell, 0) for cell in cells)
    return mean, np.asarray(variance)


def _support(margins: PairMargins) -> tuple[Ints, Ints]:
    lowest = np.maximum(margins.target + margins.history - margins.units, 0)
    return lowest, np.minimum(margins.target, margins.history)


def _log_factorials(largest: int) -> Floats:
    return np.asarray(gammaln(np.arange(largest + 2) + 1.0))


def _log_pmf(values: Ints, margins: PairMargins, inside: Bools, *, table: Floats) -> Floats:
    """Log of the hypergeometric pmf; -inf outside."""
    target, history, units = margins
    rest = units - target
    x = np.where(inside, values, np.maximum(target + history - units, 0))
    log = (
        (table[target] + table[rest] + table[history] + table[units - history] - table[units])
        - (table[x] + table[target - x])
        - (table[history - x] + table[rest - history + x])
    )
    return np.where(inside, log, -np.inf)


def q_values(p: Floats, tests: int) -> Floats:
    """Benjamini-Hochberg q of each p among `tests` tests, of which `p` are the smallest.

    Exact up to the largest p given; the tests that are not given have a larger one.
    """
    order = np.argsort(p, kind="stable")
    scaled = p[order] * tests / np.arange(1, p.size + 1)
    smallest = np.minimum.accumulate(scaled[::-1])[::-1]
    q = np.empty(p.size)
    q[order] = np.minimum(smallest, 1)
    return q
