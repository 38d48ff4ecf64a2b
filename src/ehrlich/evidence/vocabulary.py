"""The concepts of a timeline: what a clinician calls each, and its codes. By shard, then merged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from ehrlich.base.contracts import concepts_schema
from ehrlich.cohorts.scene import SUBJECT
from ehrlich.evidence.concepts import SEPARATOR, Found

NAMES: dict[str, pl.DataType] = {"concept": pl.String(), "name": pl.String(), "n": pl.Int64()}
CODES: dict[str, pl.DataType] = {"concept": pl.String(), "code": pl.String()}
COUNTS: dict[str, pl.DataType] = {
    "concept": pl.String(),
    "measurements": pl.Int64(),
    "subjects": pl.Int64(),
}


@dataclass(frozen=True)
class Vocabulary:
    """Concepts of one or more shards: small frames that add up. A subject stands in one shard.

    - names: concept, name, n (measurements that call it so). codes: concept, code.
    - counts: concept, measurements, subjects. All without duplicates, sorted.
    """

    names: pl.DataFrame
    codes: pl.DataFrame
    counts: pl.DataFrame

    @classmethod
    def of(cls, found: Found) -> Vocabulary:
        """That of one shard, from `find_concepts`."""
        counts = found.concepts.group_by("concept").agg(
            measurements=pl.len(), subjects=pl.col(SUBJECT).n_unique()
        )
        codes = found.entries.select("concept", code="codes").explode("code")
        return cls._of_frames(found.entries.select("concept", "name", "n"), codes, counts)

    @classmethod
    def merged(cls, parts: Iterable[Vocabulary]) -> Vocabulary:
        """That of all shards: the same, however subjects are spread over them."""
        listed = list(parts)
        return cls._of_frames(
            pl.concat([pl.DataFrame(schema=NAMES), *(part.names for part in listed)]),
            pl.concat([pl.DataFrame(schema=CODES), *(part.codes for part in listed)]),
            pl.concat([pl.DataFrame(schema=COUNTS), *(part.counts for part in listed)]),
        )

    @classmethod
    def _of_frames(
        cls, names: pl.DataFrame, codes: pl.DataFrame, counts: pl.DataFrame
    ) -> Vocabulary:
        return cls(
            names.cast(pl.Schema(NAMES)).group_by("concept", "name").sum().sort("concept", "name"),
            codes.cast(pl.Schema(CODES)).drop_nulls().unique().sort("concept", "code"),
            counts.cast(pl.Schema(COUNTS)).group_by("concept").sum().sort("concept"),
        )

    def frame(self) -> pl.DataFrame:
        """`evidence/concepts.parquet` of the contract; of several names the most frequent."""
        names = (
            self.names.sort("concept", "n", "name", descending=[False, True, False])
            .group_by("concept", maintain_order=True)
            .agg(pl.col("name").first())
        )
        codes = self.codes.group_by("concept").agg(codes=pl.col("code").sort())
        joined = self.counts.join(names, on="concept", how="left").join(
            codes, on="concept", how="left"
        )
        kind = pl.col("concept").str.split(SEPARATOR).list.first()
        schema = concepts_schema()
        whole = joined.with_columns(kind=kind, codes=pl.col("codes").fill_null([]))
        return whole.select(*schema).cast(pl.Schema(schema)).sort("concept")
