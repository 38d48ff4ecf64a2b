"""The files that stages talk through: dtypes, units, nullability, order, time rule of each.

Later stages add theirs here. Times are microseconds without a zone, as the source wrote them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

DATA = "data"
DETAIL = "detail"
METADATA = "metadata"
SPLITS = ("train", "tuning", "held_out")

MEDS_COLUMNS = ("subject_id", "time", "code", "numeric_value", "text_value")

# What dataset.json declares our further columns to be (MEDS 0.4 DatasetMetadataSchema).
EXTRA_COLUMN_ROLES = {
    "raw_source_id_columns": ["row_id", "encounter_id", "stay_id"],
    "code_modifier_columns": ["unit", "flag"],
    "other_extension_columns": [
        "table", "event", "avail_time", "end_time", "item", "ref_low", "ref_high",
    ],
}  # fmt: skip


def measurement_schema() -> dict[str, pl.DataType]:
    """`charts/data/<split>/<shard>.parquet`: one row is a measurement.

    Valid MEDS 0.4 DataSchema; sorted by subject_id, time (null = static, first), then `row_id`;
    a subject stands in one file. Visible at t if `time <= t` and `avail_time <= t`.

    - row_id: unique in the dataset and traceable: (table rank, row of the source file).
    - table: what the event is called in `tables.parquet`; never null.
    - event: number of the event within the subject, from 0, in file order.
    - encounter_id, stay_id: hospital admission; ED or ICU stay. Null outside any.
    - avail_time: when it was known; null = at `time`.
    - end_time: when it ended; not to be shown before.
    - item: what a clinician calls it; the answer string of decision tasks.
    - unit, ref_low, ref_high: of `numeric_value`; flag: as the source gives it.
    """
    import polars as pl

    return {
        "subject_id": pl.Int64(),
        "time": pl.Datetime("us"),
        "code": pl.String(),
        "numeric_value": pl.Float32(),
        "text_value": pl.String(),
        "row_id": pl.Int64(),
        "table": pl.String(),
        "event": pl.UInt32(),
        "encounter_id": pl.Int64(),
        "stay_id": pl.Int64(),
        "avail_time": pl.Datetime("us"),
        "end_time": pl.Datetime("us"),
        "item": pl.String(),
        "unit": pl.String(),
        "flag": pl.String(),
        "ref_low": pl.Float32(),
        "ref_high": pl.Float32(),
    }


def measurement_arrow_schema() -> pa.Schema:
    """The same as Arrow writes it: MEDS wants `code` string and `text_value` large_string."""
    import pyarrow as pa

    time = pa.timestamp("us")
    text = pa.string()
    return pa.schema(
        [
            pa.field("subject_id", pa.int64(), nullable=False),
            pa.field("time", time),
            pa.field("code", text, nullable=False),
            pa.field("numeric_value", pa.float32()),
            pa.field("text_value", pa.large_string()),
            pa.field("row_id", pa.int64(), nullable=False),
            pa.field("table", text, nullable=False),
            pa.field("event", pa.uint32(), nullable=False),
            pa.field("encounter_id", pa.int64()),
            pa.field("stay_id", pa.int64()),
            pa.field("avail_time", time),
            pa.field("end_time", time),
            pa.field("item", text),
            pa.field("unit", text),
            pa.field("flag", text),
            pa.field("ref_low", pa.float32()),
            pa.field("ref_high", pa.float32()),
        ]
    )


def detail_arrow_schema() -> pa.Schema:
    """`charts/detail/<split>/<shard>.parquet`: further fields of a measurement, by row_id.

    `fields` follows the names that `tables.parquet` gives for the measurement's table; a row
    all of whose fields are null has no line here. Same order as the data file.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("row_id", pa.int64(), nullable=False),
            pa.field("fields", pa.list_(pa.string()), nullable=False),
        ]
    )


def tables_schema() -> dict[str, pl.DataType]:
    """`charts/metadata/tables.parquet`: one row is a table of the timeline, in tie-break order.

    - heading: title of its events in a chart; fields: names of the detail fields, in order.
    - late: of `numeric_value`, `text_value` and the fields, those that became true only at
      `end_time` (durations, stop times, final status): masked before it, and for ever where
      `end_time` is null.
    """
    import polars as pl

    return {
        "table": pl.String(),
        "rank": pl.UInt8(),
        "heading": pl.String(),
        "fields": pl.List(pl.String()),
        "late": pl.List(pl.String()),
    }
