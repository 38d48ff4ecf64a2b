"""Which split and which bucket a subject falls into, and how buckets make shards of even size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from ehrlich.base.contracts import SPLITS
from ehrlich.base.errors import ConfigError
from ehrlich.base.hashing import Ints, stable_hash
from ehrlich.charts.readers.columns import SUBJECT

PER_SPLIT = 8192
BUCKET = "_bucket"
SHARES = (0.8, 0.1, 0.1)


@dataclass(frozen=True)
class Buckets:
    """Subject → bucket; bucket // PER_SPLIT is the split's place in `names`.

    Without `given` the split is the salted hash's (80/10/10 by default). `given` (subject_id,
    split): as another dataset or the user has split them; a subject not in it is hashed.
    """

    salt: int = 0
    shares: tuple[float, ...] = SHARES
    names: tuple[str, ...] = SPLITS
    given: pl.DataFrame | None = None

    def of(self, subjects: Ints) -> npt.NDArray[np.int32]:
        """The bucket of each subject."""
        hashed = stable_hash(subjects, self.salt)
        unit = (hashed >> np.uint64(11)).astype(np.float64) / float(1 << 53)
        split = np.searchsorted(np.cumsum(self.shares)[:-1], unit, side="right").astype(np.int32)
        if self.given is not None and self.given.height:
            split = self._given_split(subjects, split)
        within = (stable_hash(subjects, self.salt + 1) % np.uint64(PER_SPLIT)).astype(np.int32)
        return split * PER_SPLIT + within

    def _given_split(
        self, subjects: Ints, fallback: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.int32]:
        assert self.given is not None
        known = self.given[SUBJECT].to_numpy()
        order = np.argsort(known)
        names = {name: place for place, name in enumerate(self.names)}
        places = np.array([names[name] for name in self.given["split"]], dtype=np.int32)[order]
        at = np.searchsorted(known[order], subjects).clip(max=len(known) - 1)
        return np.where(known[order][at] == subjects, places[at], fallback).astype(np.int32)


def read_splits(path: Path) -> Buckets:
    """Buckets by a subject_splits.parquet. Raises ConfigError."""
    try:
        frame = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as exc:
        raise ConfigError(
            "cannot be read as parquet", where=str(path), got=type(exc).__name__
        ) from exc
    return given_splits(frame, str(path))


def given_splits(frame: pl.DataFrame, where: str) -> Buckets:
    """Buckets by a subject_splits table. Raises ConfigError for a subject in two splits."""
    missing = {SUBJECT, "split"} - set(frame.columns)
    if missing:
        raise ConfigError(
            "is no subject_splits table",
            where=where,
            got=", ".join(frame.columns),
            expected="columns subject_id, split",
        )
    unique = frame.select(
        pl.col(SUBJECT).cast(pl.Int64, strict=False), pl.col("split").cast(pl.String)
    ).unique()
    if unreadable := unique.height - unique.drop_nulls().height:
        raise ConfigError(f"{unreadable} rows lack a split or an integer subject_id", where=where)
    twice = unique.height - unique[SUBJECT].n_unique()
    if twice:
        raise ConfigError(f"{twice} subjects stand in two splits", where=where)
    others = sorted(set(unique["split"]) - set(SPLITS))
    return Buckets(names=(*SPLITS, *others), given=unique)


@dataclass(frozen=True, slots=True)
class Shard:
    """A range of buckets of one split; `name` is `<split>/<number>`."""

    split: str
    number: int
    low: int
    high: int

    @property
    def name(self) -> str:
        return f"{self.split}/{self.number}"


def plan_shards(
    rows: npt.NDArray[np.int64], names: tuple[str, ...], *, target_rows: int
) -> list[Shard]:
    """Shards of about `target_rows`, even within a split; none for an empty split."""
    shards: list[Shard] = []
    for place, split in enumerate(names):
        own = rows[place * PER_SPLIT : (place + 1) * PER_SPLIT]
        total = int(own.sum())
        if not total:
            continue
        wanted = max(1, round(total / target_rows))
        reached = np.cumsum(own)
        goals = total * np.arange(1, wanted) / wanted
        cuts = np.unique(np.concatenate(([0], np.searchsorted(reached, goals) + 1, [PER_SPLIT])))
        base = place * PER_SPLIT
        filled = [(a, b) for a, b in pairwise(cuts) if own[a:b].sum()]
        shards += [
            Shard(split, number, base + int(a), base + int(b))
            for number, (a, b) in enumerate(filled)
        ]
    return shards
