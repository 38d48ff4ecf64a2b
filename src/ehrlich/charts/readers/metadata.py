"""`charts/metadata/`: what the shards together hold. Written when all of them stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ehrlich import __version__
from ehrlich.base.contracts import EXTRA_COLUMN_ROLES, METADATA, tables_schema
from ehrlich.base.store import write_aside, write_json
from ehrlich.charts.readers.buckets import Shard
from ehrlich.charts.readers.columns import SUBJECT
from ehrlich.charts.readers.dictionary import Dictionary, Policy
from ehrlich.charts.readers.partition import SPILL
from ehrlich.charts.readers.shard import CODES, SUBJECTS, aside_name

DESCRIPTIONS = {
    "code": pl.String(),
    "description": pl.String(),
    "parent_codes": pl.List(pl.String),
}


def write_metadata(
    dictionary: Dictionary,
    shards: Sequence[Shard],
    *,
    out: Path,
    tables: pl.DataFrame,
    descriptions: pl.DataFrame | None = None,
) -> None:
    """dataset.json, codes.parquet, subject_splits.parquet (MEDS 0.4) and tables.parquet."""
    folder = out / METADATA
    _write(_codes(shards, out / SPILL, descriptions), folder / "codes.parquet")
    _write(subject_splits(shards, out / SPILL), folder / "subject_splits.parquet")
    _write(tables, folder / "tables.parquet")
    write_json(folder / "dataset.json", dataset(dictionary))


def _write(frame: pl.DataFrame, path: Path) -> None:
    """As Arrow's plain `string` (MEDS refuses large strings), with zstd."""
    table = frame.to_arrow()
    required = ("code", SUBJECT, "split")
    fields = [
        pa.field(field.name, _plain(field.type), nullable=field.name not in required)
        for field in table.schema
    ]
    with write_aside(path) as aside:
        pq.write_table(table.cast(pa.schema(fields)), aside, compression="zstd")


def _plain(dtype: Any) -> Any:
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return pa.list_(_plain(dtype.value_type))
    return dtype if pa.types.is_primitive(dtype) else pa.string()


def _codes(shards: Sequence[Shard], spill: Path, given: pl.DataFrame | None) -> pl.DataFrame:
    """Every code of the data: code, description, parent_codes, rows.

    The description is the one that is given, else the code's first name by alphabet.
    """
    parts = [pl.scan_parquet(spill / CODES / aside_name(shard), glob=False) for shard in shards]
    named = pl.concat(parts).group_by("code").agg(pl.col("item").min(), pl.col("rows").sum())
    merged = named.sort("code").collect()
    if given is None:
        given = pl.DataFrame(schema=DESCRIPTIONS)
    merged = merged.join(given.unique("code"), on="code", how="left", maintain_order="left")
    described = pl.coalesce("description", "item").alias("description")
    return merged.select("code", described, "parent_codes", "rows")


def subject_splits(shards: Sequence[Shard], spill: Path) -> pl.DataFrame:
    """subject_id → split, sorted."""
    parts = [
        pl.scan_parquet(spill / SUBJECTS / aside_name(shard), glob=False).with_columns(
            pl.lit(shard.split).alias("split")
        )
        for shard in shards
    ]
    return pl.concat(parts).sort(SUBJECT).collect()


def tables_of(dictionary: Dictionary, policy: Policy) -> pl.DataFrame:
    """The contract's tables.parquet from the dictionary."""
    order = dictionary.order(policy)
    tables = [dictionary.tables[name] for name in order]
    return pl.DataFrame(
        {
            "table": list(order),
            "rank": list(range(len(order))),
            "heading": [table.heading for table in tables],
            "fields": [list(table.fields) for table in tables],
            "late": [list(table.late) for table in tables],
        },
        schema=tables_schema(),
    )


def dataset(dictionary: Dictionary) -> dict[str, Any]:
    """MEDS dataset.json; no time of writing in it, so that the same input gives the same bytes."""
    from meds import __version__ as meds_version

    return {
        "dataset_name": dictionary.title,
        "etl_name": "ehrlich",
        "etl_version": __version__,
        "meds_version": meds_version,
        "license": dictionary.licence,
        **EXTRA_COLUMN_ROLES,
    }
