"""Second pass: one shard of the spilled source → its data and detail files. A unit of work."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ehrlich.base.contracts import (
    DATA,
    DETAIL,
    detail_arrow_schema,
    measurement_arrow_schema,
    measurement_schema,
)
from ehrlich.base.store import read_json, write_aside, write_json
from ehrlich.charts.readers.buckets import Shard
from ehrlich.charts.readers.columns import SUBJECT
from ehrlich.charts.readers.dictionary import Dictionary, Policy
from ehrlich.charts.readers.order import after_stay, fill_ids, in_order, number_events
from ehrlich.charts.readers.partition import SPILL, read_bucket_range, write_spill
from ehrlich.charts.readers.rows import FIELDS, Measured, Recipe, measure, span_bounds

ROW_GROUP = 262_144
REFERENCES = "_references"
CODES = "codes"
SUBJECTS = "subjects"


@dataclass(frozen=True, slots=True)
class ShardJob:
    """All that a worker needs."""

    dictionary: Dictionary
    policy: Policy
    shard: Shard
    out: Path

    @property
    def spill(self) -> Path:
        """Where the first pass laid the source's tables."""
        return self.out / SPILL


def build_shard(job: ShardJob) -> dict[str, Any]:
    """Write the shard; its tally (rows by table, dropped by reason) is kept in the spill folder.

    A shard whose tally stands there already is not built again: the tally is written last.
    """
    tally_path = job.spill / "shards" / f"{job.shard.split}-{job.shard.number}.json"
    if tally_path.is_file():
        return dict(read_json(tally_path))
    measured = _measure_tables(job)
    filled = {
        name: filled_fields(part.rows, list(job.dictionary.tables[name].fields))
        for name, part in measured.items()
        if job.dictionary.tables[name].fields
    }
    heights = {name: part.rows.height for name, part in measured.items()}
    rows, lost = _assemble(job, measured)
    tally: dict[str, Any] = {
        "rows": rows.height,
        "tables": heights,
        "dropped": {name: dict(part.dropped) for name, part in measured.items() if part.dropped},
        "oddities": {name: dict(part.oddities) for name, part in measured.items() if part.oddities},
        "filled": filled,
    }
    for name, count in lost.items():
        tally["tables"][name] -= count
        tally["dropped"].setdefault(name, {})["no row of its stay"] = count
    write_measurements(rows, job.shard, out=job.out)
    write_json(tally_path, tally)
    return tally


def _measure_tables(job: ShardJob) -> dict[str, Measured]:
    dictionary = job.dictionary
    sources: dict[str, pl.DataFrame | None] = {}

    def rows_of(table: str) -> pl.DataFrame | None:
        name = dictionary.source_of(table) if table in dictionary.tables else table
        lookup = dictionary.lookups.get(name)
        if lookup is not None and not lookup.subject:
            path = job.spill / REFERENCES / f"{name}.parquet"
            return _reference(path, path.stat().st_mtime_ns) if path.is_file() else None
        if name not in sources:
            sources[name] = read_bucket_range(job.spill / name, job.shard.low, high=job.shard.high)
        return sources[name]

    measured: dict[str, Measured] = {}
    order = dictionary.order(job.policy)
    for rank, name in enumerate(order):
        rows = rows_of(name)
        if rows is None:
            continue
        table = dictionary.tables[name]
        found = {link.table: rows_of(link.table) for link in table.links.values()}
        linked = {key: frame for key, frame in found.items() if frame is not None}
        measured[name] = measure(rows, Recipe(name, table, rank, job.policy), linked=linked)
        if dictionary.source_of(name) == name and not _still_needed(job, name, order[rank + 1 :]):
            sources.pop(name, None)
    return measured


def filled_fields(rows: pl.DataFrame, names: list[str]) -> dict[str, int]:
    """Field → how many rows have it."""
    counted = rows.select(
        pl.col(FIELDS).list.get(place, null_on_oob=True).count().alias(name)
        for place, name in enumerate(names)
    )
    return dict(zip(counted.columns, counted.row(0), strict=True))


def _still_needed(job: ShardJob, source: str, later: tuple[str, ...]) -> bool:
    """Whether a later table or link reads this source table again (else it is let go)."""
    dictionary = job.dictionary
    return any(
        dictionary.source_of(name) == source
        or any(link.table == source for link in dictionary.tables[name].links.values())
        for name in later
    )


def _encounter_spans(job: ShardJob) -> pl.DataFrame | None:
    """subject_id, start, end, encounter_id of the shard; None where the source has none."""
    rule = job.dictionary.spans
    if rule is None or job.policy != "strict":
        return None
    folder = job.spill / job.dictionary.source_of(rule.table)
    rows = read_bucket_range(folder, job.shard.low, high=job.shard.high)
    if rows is None:
        return None
    start, end = span_bounds(rows, rule.start, end=rule.end)
    return rows.select(
        SUBJECT,
        start.alias("start"),
        end.alias("end"),
        pl.col(rule.encounter).alias("encounter_id"),
    )


@cache
def _reference(path: Path, written_ns: int) -> pl.DataFrame:
    """A reference table, read once a process (and again where a later run has written another)."""
    return pl.read_parquet(path, glob=False)


def _assemble(job: ShardJob, measured: dict[str, Measured]) -> tuple[pl.DataFrame, dict[str, int]]:
    """All measurements in order with event numbers, and rows lost for want of a stay."""
    tables = job.dictionary.tables
    late = [name for name in measured if job.policy == "compat" and tables[name].compat.after_stay]
    timed = [name for name in measured if name not in late]
    # Taken out of `measured`, so that parts are let go once they are in order.
    rows = in_order(pl.concat([_taken(measured, name) for name in timed]))
    lost: dict[str, int] = {}
    for name in late:
        rows, count = after_stay(rows, measured[name].rows)
        if count:
            lost[name] = count
    spans = _encounter_spans(job)
    if spans is not None:
        rows = fill_ids(rows, spans, column="encounter_id")
    return number_events(rows, split_gaps=job.policy == "strict"), lost


def _taken(measured: dict[str, Measured], name: str) -> pl.DataFrame:
    part = measured[name]
    measured[name] = part._replace(rows=part.rows.clear())
    return part.rows


def write_measurements(rows: pl.DataFrame, shard: Shard, *, out: Path) -> None:
    """The shard's data and detail files, and (aside) its codes and subjects."""
    data = rows.select(list(measurement_schema()))
    write_parquet(data, out / DATA / f"{shard.name}.parquet", schema=measurement_arrow_schema())
    if FIELDS in rows.columns:
        detail = rows.select("row_id", FIELDS).drop_nulls(FIELDS)
        path = out / DETAIL / f"{shard.name}.parquet"
        write_parquet(detail, path, schema=detail_arrow_schema())
    aside = aside_name(shard)
    codes = data.group_by("code").agg(pl.col("item").drop_nulls().min(), pl.len().alias("rows"))
    for kind, frame in ((CODES, codes), (SUBJECTS, data.select(pl.col(SUBJECT).unique().sort()))):
        write_spill(frame, out / SPILL / kind / aside)


def aside_name(shard: Shard) -> str:
    """What a shard's file is called in a flat folder."""
    return f"{shard.split}-{shard.number}.parquet"


def write_parquet(frame: pl.DataFrame, path: Path, *, schema: pa.Schema) -> None:
    """The frame under exactly this Arrow schema, whole or not at all; one row group in memory."""
    text = [field.name for field in schema if pa.types.is_string(field.type)]
    with write_aside(path) as aside, pq.ParquetWriter(
        aside, schema, compression="zstd", compression_level=1,
        use_dictionary=[*text, "encounter_id", "stay_id", "fields.list.element"],
    ) as writer:  # fmt: skip
        for part in frame.iter_slices(ROW_GROUP):
            writer.write_table(part.to_arrow().cast(schema))
