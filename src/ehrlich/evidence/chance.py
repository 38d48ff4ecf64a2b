"""What lift finds where there is nothing to find: answers given to other subjects.

Within strata, so that every concept keeps its support and a long context its share of answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from ehrlich.evidence.cooccurrence import Axes, Counts, Margins, Units, counts_of, fit, tests_of
from ehrlich.evidence.policy import Policy
from ehrlich.evidence.significance import Floats

DRAWS = 20
MOST_CELLS = 50_000_000  # drawn at a time: pairs by strata
MOST_PAIRS = 500_000  # of one null


def null_lift(units: Units, policy: Policy, *, seed: int) -> pl.DataFrame:
    """`lift_schema()`: the fit after answers were permuted between the units of each stratum."""
    rng = np.random.default_rng(seed)
    # By stratum, then by lot: the units of a stratum in two orders.
    here, there = (np.lexsort((rng.permutation(units.strata.size), units.strata)) for _ in range(2))
    given = np.empty(units.strata.size, np.int64)
    given[here] = there
    return fit(counts_of(units._replace(targets=units.targets[given])), policy)


def null_counts(margins: Margins, *, seed: int) -> Counts:
    """Joint counts as permuted answers would give them, pair by pair, by the margins alone.

    Each pair's count has the law that a permutation within strata gives it, a sum of
    hypergeometrics. What pairs share by being of the same subjects is lost, so numbers of pairs
    vary less than after a permutation.
    """
    rng = np.random.default_rng(seed)
    targets, histories = margins.targets, margins.histories
    joint = np.zeros((targets.shape[0], histories.shape[0]), np.int32)
    block = max(1, MOST_CELLS // max(1, histories.size))
    for start in range(0, targets.shape[0], block):
        for stratum, units in enumerate(margins.units):
            drawn = targets[start : start + block, stratum]
            own = histories[:, stratum]
            row, column = np.flatnonzero(drawn), np.flatnonzero(own)
            found = rng.hypergeometric(own[column], units - own[column], drawn[row][:, None])
            joint[np.ix_(row + start, column)] += found.astype(np.int32)
    return Counts(margins, sparse.csr_array(joint))


def lift_figures(
    lift: pl.DataFrame, margins: Margins, *, policy: Policy, seed: int, draws: int = DRAWS
) -> dict[str, Any]:
    """Pairs tested and kept and their median lift, beside `draws` nulls of the same margins.

    - kept, median_lift: of the fit. null_kept, null_median_lift: mean over nulls, same policy;
      the median lift is null where no null kept a pair.
    - best_by_chance: median lift of as many pairs as the fit kept, those of the least p of a null.
    - each with _low and _high: 95% of the nulls lie between. Of large tasks nulls are made for
      every so many targets (null_targets), and null_kept is scaled up.
    """
    part = _some(margins, -(-len(margins.axes.targets) * len(margins.axes.histories) // MOST_PAIRS))
    scale = max(1, len(margins.axes.targets)) / max(1, len(part.axes.targets))
    kept = lift.filter("kept")
    as_many = round(kept.height / scale)
    nulls = [
        _null_figures(fit(null_counts(part, seed=seed + draw), policy), as_many)
        for draw in range(draws)
    ]
    told: dict[str, Any] = {
        "units": int(margins.units.sum()),
        "tested": tests_of(margins, policy),
        "kept": kept.height,
        "median_lift": kept["lift"].median(),
        "null_targets": len(part.axes.targets),
    }
    scales = {"null_kept": scale, "null_median_lift": 1.0, "best_by_chance": 1.0}
    for column, (name, by) in zip(np.array(nulls, float).T, scales.items(), strict=True):
        told |= _spread(name, column[~np.isnan(column)] * by)
    return told


def _some(margins: Margins, every: int) -> Margins:
    """Those of every so many targets."""
    if every <= 1:
        return margins
    axes = margins.axes
    fewer = Axes(axes.targets[::every], axes.histories, axes.edges, axes.split)
    return Margins(fewer, margins.units, margins.targets[::every], margins.histories)


def _null_figures(null: pl.DataFrame, as_many: int) -> tuple[float, Any, Any]:
    kept = null.filter("kept")
    best = null.sort("p", "target", "history").head(as_many)
    return kept.height, kept["lift"].median(), best["lift"].median()


def _spread(name: str, values: Floats) -> dict[str, float | None]:
    if not values.size:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = np.quantile(values, (0.025, 0.975))
    return {name: float(values.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
