"""Charts as later stages read them, and the ONE rule of what can be seen at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from ehrlich.base.contracts import DATA, DETAIL, METADATA
from ehrlich.base.errors import DataError
from ehrlich.base.store import Manifest, read_manifest
from ehrlich.charts.readers.dictionary import Predicate

FIELDS = "fields"


@dataclass(frozen=True)
class Charts:
    """A finished `charts/` folder. Raises StoreError where it is not finished."""

    folder: Path

    @cached_property
    def manifest(self) -> Manifest:
        """What was read, how, and how freely it may move."""
        return read_manifest(self.folder)

    @cached_property
    def tables(self) -> pl.DataFrame:
        """tables.parquet of the contract, by rank."""
        return _parquet(self.folder / METADATA / "tables.parquet").sort("rank")

    @cached_property
    def codes(self) -> pl.DataFrame:
        """codes.parquet: code, description, parent_codes, rows."""
        return pl.read_parquet(self.folder / METADATA / "codes.parquet")

    @property
    def rows_by_table(self) -> dict[str, int]:
        """How many measurements each table has, as the manifest counts them."""
        counts = self.manifest.counts
        rows: dict[str, int] = {
            name: line["measurements"] for name, line in counts["tables"].items()
        }
        rows |= counts.get("derived", {})
        rows |= counts.get("measurements_by_table", {})
        return rows

    @cached_property
    def splits(self) -> pl.DataFrame:
        """subject_id → split."""
        return _parquet(self.folder / METADATA / "subject_splits.parquet")

    @property
    def policy(self) -> str:
        """strict or compat: how times and events were made (strict for foreign MEDS)."""
        return str(self.manifest.config["policy"])

    @cached_property
    def predicates(self) -> dict[str, Predicate]:
        """What tasks call admission, death, ... → measurements of this source."""
        stated = self.manifest.config["dictionary"]["predicates"]
        return {name: Predicate.model_validate(rule) for name, rule in stated.items()}

    def shards(self) -> Iterator[str]:
        """Names `<split>/<number>` of all shards: split by split, by number."""
        data = self.folder / DATA
        paths = sorted(data.rglob("*.parquet"), key=lambda path: (path.parent.name, int(path.stem)))
        yield from (path.relative_to(data).with_suffix("").as_posix() for path in paths)

    def read(self, shard: str, *, fields: bool = False) -> pl.DataFrame:
        """Measurements of a shard in the contract's order; with `fields` also list[str] `fields`.

        `fields` is null for a measurement without any. Nothing is hidden: see `visible`.
        """
        path = self.folder / DATA / f"{shard}.parquet"
        if not path.is_file():
            raise DataError("no such shard", where=str(self.folder), got=shard)
        rows = _parquet(path)
        if not fields:
            return rows
        beside = self.folder / DETAIL / f"{shard}.parquet"
        if not beside.is_file():
            return rows.with_columns(pl.lit(None, dtype=pl.List(pl.String)).alias(FIELDS))
        detail = _parquet(beside)
        return rows.join(detail, on="row_id", how="left", maintain_order="left")

    def visible(self, rows: pl.DataFrame, at: datetime | pl.Expr) -> pl.DataFrame:
        """What could be seen at `at` of `rows` (from `read`), late values masked."""
        return visible(rows, at, tables=self.tables)


def _parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as exc:
        raise DataError(
            "cannot be read as parquet", where=str(path), got=type(exc).__name__
        ) from exc


def is_visible(at: datetime | pl.Expr) -> pl.Expr:
    """Whether a measurement could be seen at `at`: it happened, and it was known, by then.

    Static measurements (time null) always are.
    """
    when = at if isinstance(at, pl.Expr) else pl.lit(at, dtype=pl.Datetime("us"))
    happened = pl.col("time").is_null() | (pl.col("time") <= when)
    return happened & (pl.col("avail_time").is_null() | (pl.col("avail_time") <= when))


def has_ended(at: datetime | pl.Expr) -> pl.Expr:
    """Whether a measurement's end is known at `at`; never for one without an end_time."""
    when = at if isinstance(at, pl.Expr) else pl.lit(at, dtype=pl.Datetime("us"))
    return (pl.col("end_time") <= when).fill_null(value=False)


def visible(rows: pl.DataFrame, at: datetime | pl.Expr, *, tables: pl.DataFrame) -> pl.DataFrame:
    """Rows that could be seen at `at`, less what became true only later.

    Hidden: rows not yet known; end_time after `at`; and before an end is known the values that
    `tables` calls late (durations, amounts, final status), in columns and in `fields`.
    `at` may be an expression, to ask for each row at its own prediction_time.
    """
    seen = rows.filter(is_visible(at))
    ended = has_ended(at)
    late = dict(tables.select("table", "late").iter_rows())
    masked = {
        column: [name for name, values in late.items() if column in values]
        for column in ("numeric_value", "text_value")
    }
    changes = [
        pl.when(pl.col("table").is_in(names) & ~ended)
        .then(None)
        .otherwise(pl.col(column))
        .alias(column)
        for column, names in masked.items()
        if names
    ]
    shown = seen.with_columns(*changes, *_masked_fields(seen, tables, ended))
    return shown.with_columns(pl.when(ended).then(pl.col("end_time")).alias("end_time"))


def _masked_fields(rows: pl.DataFrame, tables: pl.DataFrame, ended: pl.Expr) -> list[pl.Expr]:
    """`fields` with the late ones null, table by table."""
    if FIELDS not in rows.columns:
        return []
    masked: Any = pl.col(FIELDS)
    for table, names, late in tables.select("table", FIELDS, "late").iter_rows():
        hidden = [place for place, name in enumerate(names) if name in late]
        if not hidden:
            continue
        kept = pl.concat_list(
            pl.lit(None, dtype=pl.String)
            if place in hidden
            else pl.col(FIELDS).list.get(place, null_on_oob=True)
            for place in range(len(names))
        )
        applies = (pl.col("table") == table) & ~ended & pl.col(FIELDS).is_not_null()
        masked = pl.when(applies).then(kept).otherwise(masked)
    return [masked.alias(FIELDS)]
