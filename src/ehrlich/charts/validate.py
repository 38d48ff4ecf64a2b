"""Whether `charts/` is what its contract says: MEDS's schema, and what MEDS says in prose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from flexible_schema.exceptions import SchemaValidationError, TableValidationError

from ehrlich.base.contracts import DATA, DETAIL, METADATA, measurement_arrow_schema
from ehrlich.base.store import read_json
from ehrlich.charts.timeline import Charts

# What MEDS's own validation raises.
INVALID = (SchemaValidationError, TableValidationError, TypeError, ValueError)


def problems_of(charts: Charts) -> list[str]:
    """One sentence for each thing that is wrong; empty for valid charts. One shard in memory."""
    found = [*_metadata_problems(charts)]
    codes = set(
        pl.read_parquet(charts.folder / METADATA / "codes.parquet", columns=["code"])["code"]
    )
    tables = set(charts.tables["table"])
    owner: dict[int, str] = {}
    rows = 0
    for shard in charts.shards():
        data = charts.read(shard)
        rows += data.height
        found += [f"{shard}: {problem}" for problem in _shard_problems(charts, shard, data)]
        if unknown := set(data["code"].unique()) - codes:
            found.append(f"{shard}: {len(unknown)} codes are not in codes.parquet")
        if unknown := set(data["table"].unique()) - tables:
            found.append(f"{shard}: {len(unknown)} tables are not in tables.parquet")
        subjects = data["subject_id"].unique().to_list()
        twice = [subject for subject in subjects if subject in owner]
        if twice:
            found.append(f"{shard}: {len(twice)} subjects stand in {owner[twice[0]]} too")
        owner |= dict.fromkeys(subjects, shard)
    if set(owner) != set(charts.splits["subject_id"]):
        found.append("subject_splits.parquet does not name exactly the subjects of the data")
    if (stated := charts.manifest.counts.get("measurements")) != rows:
        found.append(f"the manifest says {stated} measurements, the data holds {rows}")
    return found


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
        except INVALID as exc:
            yield f"{name} is not valid MEDS: {_brief(exc)}"
    try:
        meds.DatasetMetadataSchema.validate(read_json(folder / "dataset.json"))
    except INVALID as exc:
        yield f"dataset.json is not valid MEDS: {_brief(exc)}"


def _brief(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"[:200]


def _shard_problems(charts: Charts, shard: str, data: pl.DataFrame) -> Iterator[str]:
    path = charts.folder / DATA / f"{shard}.parquet"
    yield from schema_problems(path)
    if not _in_order(data):
        yield "rows are not sorted by subject_id, time, with static rows first"
    if data["row_id"].is_duplicated().any():
        yield "row_id is not unique"
    breaks = data.select(
        (pl.col("event").cast(pl.Int64).diff().over("subject_id") < 0).sum().alias("back"),
        ((pl.col("event") != 0) & (pl.col("subject_id") != pl.col("subject_id").shift()))
        .sum()
        .alias("first"),
    ).row(0)
    if any(breaks):
        yield "events are not numbered from 0 upwards within a subject"
    yield from _detail_problems(charts.folder / DETAIL / f"{shard}.parquet", data, charts.tables)


def schema_problems(path: Path) -> Iterator[str]:
    """What is wrong with a data file's columns, by MEDS and by our contract."""
    import meds

    schema = pq.read_schema(path)
    try:
        for batch in pq.ParquetFile(path).iter_batches(1 << 18):
            meds.DataSchema.validate(pa.Table.from_batches([batch]))
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
    detail = pl.read_parquet(path)
    if detail["row_id"].is_duplicated().any():
        yield "row_id is not unique in detail"
    joined = detail.join(data.select("row_id", "table"), on="row_id", how="left")
    if joined["table"].null_count():
        yield "detail has row_ids that the data lacks"
    widths = tables.select("table", pl.col("fields").list.len().alias("width"))
    wrong = joined.join(widths, on="table").filter(pl.col("fields").list.len() != pl.col("width"))
    if not wrong.is_empty():
        yield f"{wrong.height} detail rows have another number of fields than tables.parquet names"
