"""A hash of subjects, the same on every machine and version: splits and shards rest on it."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]


def stable_hash(values: Ints, salt: int) -> npt.NDArray[np.uint64]:
    """64 well-mixed bits of each integer (splitmix64 of value and salt)."""
    # The constants are splitmix64's (Steele, Lea, Flood, OOPSLA 2014).
    with np.errstate(over="ignore"):
        mixed = values.astype(np.uint64) + np.uint64(salt) * np.uint64(0x9E3779B97F4A7C15)
        mixed = mixed + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
