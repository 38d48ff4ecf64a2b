"""Columns and frames of the records: times, ids and nulls the way the CSV files show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Bools, Ints
from ehrlich.charts.hospital.layout import COLUMNS

Tables = dict[str, pl.DataFrame]
PROVIDERS, CAREGIVERS = 4000, 1500
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def times(second: Ints, null: Bools | None = None) -> pl.Series:
    """Epoch seconds as datetimes; negative seconds and `null` rows are null."""
    bad = second < 0 if null is None else null | (second < 0)
    return (
        pl.Series(np.asarray(second) * 1_000_000).cast(pl.Datetime("us")).set(pl.Series(bad), None)
    )


def days(second: Ints, null: Bools | None = None) -> pl.Series:
    """Epoch seconds as dates."""
    return times(second, null).cast(pl.Date)


def ids(number: Ints) -> pl.Series:
    """Ids; negative ones are null."""
    return pl.Series(number).set(pl.Series(number < 0), None)


def picked(values: Sequence[Any], index: Ints, *, null: Bools | None = None) -> pl.Series:
    """values[index] as text; negative index or `null` is null."""
    bad = index < 0 if null is None else null | (index < 0)
    column = pl.Series(list(values), dtype=pl.String)
    if not len(column):
        return pl.Series([None] * len(index), dtype=pl.String)
    return column.gather(pl.Series(np.where(bad, 0, index))).set(pl.Series(bad), None)


def providers(rng: np.random.Generator, n: int, *, missing: float = 0.0) -> pl.Series:
    """Provider ids, some missing."""
    return picked(provider_ids(), rng.integers(0, PROVIDERS, n), null=rng.random(n) < missing)


def provider_ids() -> list[str]:
    """Every provider of the hospital: P, two digits, three letters or digits."""
    found = []
    for number in range(PROVIDERS):
        code = (number * 7919 + 101) % 4_665_600
        tail = ""
        for _ in range(3):
            code, digit = divmod(code, 36)
            tail += _LETTERS[digit]
        found.append(f"P{code % 100:02d}{tail}")
    return found


def caregivers(rng: np.random.Generator, n: int) -> pl.Series:
    """Caregiver ids."""
    return pl.Series(10_003 + 53 * rng.integers(0, CAREGIVERS, n))


def weighted(rng: np.random.Generator, weights: Mapping[str, float], *, n: int) -> pl.Series:
    """n draws of the names by their weights; the empty name is null."""
    share = np.array(list(weights.values()), float)
    names = [name or None for name in weights]
    return picked(names, rng.choice(len(share), size=n, p=share / share.sum()))


def table(name: str, columns: Mapping[str, Any]) -> pl.DataFrame:
    """A frame with the columns of a table in file order; what is not given is null."""
    frame = pl.DataFrame(dict(columns))
    missing = [
        pl.lit(None, dtype=pl.String).alias(c) for c in COLUMNS[name] if c not in frame.columns
    ]
    return frame.with_columns(missing).select(COLUMNS[name])


def blank(n: int) -> pl.Series:
    """n nulls."""
    return pl.Series([None] * n, dtype=pl.String)
