"""Numbers as the released code printed them: read by pandas' C parser, then by `repr`.

That parser takes 17 digits one after another and divides by a power of ten, so that the last digit
of a long number may differ from the nearest double. Released models have read those digits.
"""

from __future__ import annotations

import numpy as np
import polars as pl

PLAIN = r"^-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?$"
MOST_DIGITS = 17


def released_floats(texts: pl.Series) -> pl.Series:
    """Texts of numbers as the released code prints them; null where the text is no number."""
    unique = texts.unique()
    plain = unique.str.contains(PLAIN).fill_null(value=False)
    numbers = unique.cast(pl.Float64, strict=False).to_numpy().copy()
    numbers[plain.to_numpy()] = _parsed(unique.filter(plain))
    # NumPy prints a double as `repr` does.
    printed = pl.Series(numbers.astype(str)).replace("nan", None)
    found = pl.DataFrame({"text": unique, "printed": printed})
    wanted = pl.DataFrame({"text": texts})
    return wanted.join(found, on="text", how="left", maintain_order="left")["printed"]


def _parsed(texts: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    whole = texts.str.strip_prefix("-").str.extract(r"^(\d+)")
    decimals = texts.str.extract(r"\.(\d*)").fill_null("")
    stated = texts.str.extract(r"[eE]\+?(-?\d+)$").fill_null("0").cast(pl.Int64).to_numpy()
    digits = whole + decimals
    number = np.zeros(len(texts))
    taken = np.minimum(digits.str.len_bytes().to_numpy().astype(np.int64), MOST_DIGITS)
    for place in range(taken.max(initial=0)):
        digit = digits.str.slice(place, 1).cast(pl.Float64, strict=False).to_numpy()
        number = np.where(taken > place, number * 10.0 + digit, number)
    exponent = whole.str.len_bytes().to_numpy().astype(np.int64) - taken + stated
    scale = 10.0 ** np.abs(exponent)
    scaled = np.where(exponent > 0, number * scale, number / scale)
    return np.asarray(np.where(texts.str.starts_with("-").to_numpy(), -scaled, scaled))
