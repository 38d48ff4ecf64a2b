"""Whether `charts/` is what its contract says: MEDS's schema, and what MEDS says in prose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from flexible_schema.exceptions import SchemaValidationError, TableValidationError

from ehrlich.base.contracts import (
    DATA,
    DETAIL,
    METADATA,
    detail_arrow_schema,
    measurement_arrow_schema,
    tables_schema,
)
from ehrlich.base.errors import EhrlichError, StoreError
from ehrlich.base.store import read_json
from ehrlich.charts.timeline import Charts

# What MEDS's own validation raises, and what a damaged file does.
INVALID = (SchemaValidationError, TableValidationError, TypeError, ValueError)
DAMAGED = (OSError, pa.ArrowInvalid, pl.exceptions.PolarsError, EhrlichError)


def problems_of(charts: Charts) -> list[str]:
    """One sentence for each thing that is wrong; empty for valid charts. One shard in memory."""
    # What follows needs metadata that can be read.
    if found := [*_metadata_problems(charts)]:
        return found
    owner: dict[int, str] = {}
    rows = 0
    whole = True
    for shard in charts.shards():
        path = charts.folder / DATA / f"{shard}.parquet"
        wrong = [*schema_problems(path)]
        found += [f"{shard}: {problem}" for problem in wrong]
        if wrong:
            whole = False
            continue
        data = charts.read(shard)
        rows += data.height
        found += [f"{shard}: {problem}" for problem in _shard_problems(charts, shard, data)]
        subjects = data["subject_id"].unique().to_list()
        if twice := [subject for subject in subjects if subject in owner]:
            found.append(f"{shard}: {len(twice)} subjects stand in {owner[twice[0]]} too")
        owner |= dict.fromkeys(subjects, shard)
    return found + ([*_whole_problems(charts, owner, rows)] if whole else [])


def _whole_problems(charts: Charts, owner: dict[int, str], rows: int) -> Iterator[str]:
    """What shows only when every shard was read. `owner`: subject → shard."""
    splits = dict(charts.splits.select("subject_id", "split").iter_rows())
    if set(owner) != set(splits):
        yield "subject_splits.parquet does not name exactly the subjects of the data"
    elsewhere = sum(
        splits.get(subject, shard.split("/")[0]) != shard.split("/")[0]
        for subject, shard in owner.items()
    )
    if elsewhere:
        yield f"{elsewhere} subjects stand in a shard of another split than theirs"
    if (stated := charts.manifest.counts.get("measurements")) != rows:
        yield f"the manifest says {stated} measurements, the data holds {rows}"


def _metadata_problems(charts: Charts) -> Iterator[str]:
    import meds

    folder = charts.folder / METADATA
    checks = (
        ("codes.parquet", meds.CodeMetadataSchema),
        ("subject_splits.parquet", meds.SubjectSplitSchema),
    )
    for name, schema in checks:
        try:
            schema.validate(pq.read_table(folder / name))
        except DAMAGED as exc:
            yield f"{name} cannot be read: {_brief(exc)}"
        except INVALID as exc:
            yield f"{name} is not valid MEDS: {_brief(exc)}"
    try:
        meds.DatasetMetadataSchema.validate(read_json(folder / "dataset.json"))
    except StoreError as exc:
        yield str(exc)
    except INVALID as exc:
        yield f"dataset.json is not valid MEDS: {_brief(exc)}"
    try:
        if charts.tables.schema != tables_schema():
            yield "tables.parquet: columns differ from the contract"
    except DAMAGED as exc:
        yield f"tables.parquet cannot be read: {_brief(exc)}"


def _brief(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"[:200]


def _shard_problems(charts: Charts, shard: str, data: pl.DataFrame) -> Iterator[str]:
    for name, file in (("code", "codes"), ("table", "tables")):
        known = pl.read_parquet(charts.folder / METADATA / f"{file}.parquet", glob=False)[name]
        if unknown := set(data[name].unique()) - set(known):
            yield f"{len(unknown)} {file} are not in {file}.parquet"
    if not _in_order(data):
        yield "rows are not sorted by subject_id, time, with static rows first"
    if data["row_id"].is_duplicated().any():
        yield "row_id is not unique"
    step = pl.col("event").cast(pl.Int64).diff().over("subject_id")
    # The first row of a subject has no step.
    right = pl.when(step.is_null()).then(pl.col("event") == 0).otherwise(step.is_between(0, 1))
    if not data.select(right.all()).item():
        yield "events are not numbered from 0 upwards within a subject"
    if data.group_by("subject_id", "event").agg(pl.col("table").n_unique())["table"].max() not in (
        None,
        1,
    ):
        yield "an event holds rows of several tables"
    yield from _detail_problems(charts.folder / DETAIL / f"{shard}.parquet", data, charts.tables)


def schema_problems(path: Path) -> Iterator[str]:
    """What is wrong with a data file's columns, by MEDS and by our contract."""
    import meds

    try:
        schema = pq.read_schema(path)
        for batch in pq.ParquetFile(path).iter_batches(1 << 18):
            meds.DataSchema.validate(pa.Table.from_batches([batch]))
    except DAMAGED as exc:
        yield f"cannot be read: {_brief(exc)}"
        return
    except INVALID as exc:
        yield f"not valid MEDS: {_brief(exc)}"
    if not schema.remove_metadata().equals(measurement_arrow_schema()):
        yield "columns differ from the contract"


def _in_order(data: pl.DataFrame) -> bool:
    """Subjects contiguous and rising; within one, static rows first, then times that never fall."""
    time = pl.col("time").to_physical().fill_null(-(2**63))
    same = pl.col("subject_id") == pl.col("subject_id").shift()
    bad = (pl.col("subject_id") < pl.col("subject_id").shift()) | (same & (time < time.shift()))
    return not data.select(bad.fill_null(value=False).any()).item()


def _detail_problems(path: Path, data: pl.DataFrame, tables: pl.DataFrame) -> Iterator[str]:
    if not path.is_file():
        yield "has no detail file"
        return
    try:
        if not pq.read_schema(path).remove_metadata().equals(detail_arrow_schema()):
            yield "columns of detail differ from the contract"
            return
        detail = pl.read_parquet(path, glob=False)
    except DAMAGED as exc:
        yield f"detail cannot be read: {_brief(exc)}"
        return
    if detail["row_id"].is_duplicated().any():
        yield "row_id is not unique in detail"
    joined = detail.join(data.select("row_id", "table"), on="row_id", how="left")
    if joined["table"].null_count():
        yield "detail has row_ids that the data lacks"
    widths = tables.select("table", pl.col("fields").list.len().alias("width"))
    wrong = joined.join(widths, on="table").filter(pl.col("fields").list.len() != pl.col("width"))
    if not wrong.is_empty():
        yield f"{wrong.height} detail rows have another number of fields than tables.parquet names"
