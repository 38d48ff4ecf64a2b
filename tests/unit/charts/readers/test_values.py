"""Parquet of any type: each column as its kind, and what does not fit counted, never a crash."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ehrlich.charts.readers.blocks import ROW, Parsed, read_header, read_parquet_blocks
from ehrlich.charts.readers.columns import SUBJECT, Kind, SourceTable

NOON = dt.datetime(2150, 1, 2, 12)


def read(path: Path, column: Any, kind: Kind) -> Parsed:
    """The column after a trip through a parquet file."""
    pq.write_table(pa.table({"subject_id": pa.array([1] * len(column)), "value": column}), path)
    table = SourceTable("things", "hosp", {"value": kind}, True)
    (found,) = read_parquet_blocks(path, table, header=read_header(path, table))
    return found


COLUMNS: dict[str, Any] = {
    "text": pa.array(["2150-01-02 12:00:00"]),
    "large text": pa.array(["7"], pa.large_string()),
    "dictionary": pa.array(["7"]).dictionary_encode(),
    "bytes": pa.array([b"7"], pa.binary()),
    "bytes, no utf-8": pa.array([b"\xff"], pa.binary()),
    "integer": pa.array([7]),
    "unsigned beyond int64": pa.array([2**63], pa.uint64()),
    "float": pa.array([7.0]),
    "float, broken": pa.array([7.5]),
    "float, nan": pa.array([float("nan")]),
    "decimal": pa.array([Decimal("7.0")]),
    "boolean": pa.array([True]),
    "date": pa.array([dt.date(2150, 1, 2)]),
    "time of day": pa.array([dt.time(12)], pa.time64("us")),
    "duration": pa.array([dt.timedelta(hours=12)]),
    "seconds": pa.array([NOON], pa.timestamp("s")),
    "nanoseconds": pa.array([NOON], pa.timestamp("ns")),
    "zoned": pa.array([NOON], pa.timestamp("us", "America/New_York")),
    "list": pa.array([["a", "b"]]),
    "list of integers": pa.array([[1, 2]]),
    "fixed list": pa.array([[1, 2]], pa.list_(pa.int64(), 2)),
    "list of structs": pa.array([[{"a": 1}]]),
    "struct": pa.array([{"a": 1}]),
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "null": pa.nulls(1),
}
TIMES = {
    "text": NOON, "seconds": NOON, "nanoseconds": NOON, "zoned": NOON,
    "date": dt.datetime(2150, 1, 2),
}  # fmt: skip
IDS = {
    "large text": 7, "dictionary": 7, "bytes": 7, "integer": 7, "float": 7, "decimal": 7,
    "boolean": 1,
}  # fmt: skip
NUMBERS = IDS | {"float, broken": 7.5, "unsigned beyond int64": float(2**63)}
TEXTS = {
    "text": "2150-01-02 12:00:00", "large text": "7", "dictionary": "7", "bytes": "7",
    "bytes, no utf-8": "\ufffd", "integer": "7", "unsigned beyond int64": str(2**63),
    "float": "7", "float, broken": "7.5", "float, nan": "NaN", "decimal": "7.0", "boolean": "true",
    "date": "2150-01-02 00:00:00", "time of day": "12:00:00", "duration": "12h",
    "seconds": "2150-01-02 12:00:00", "nanoseconds": "2150-01-02 12:00:00",
    "zoned": "2150-01-02 12:00:00", "list": "a\nb", "list of integers": "1\n2",
    "fixed list": "1\n2", "list of structs": '[{"a": 1}]', "struct": '{"a": 1}',
}  # fmt: skip
DTYPES = {
    Kind.TIME: pl.Datetime("us"), Kind.ID: pl.Int64(), Kind.NUMBER: pl.Float32(),
    Kind.TEXT: pl.String(),
}  # fmt: skip
WANTED: list[tuple[Kind, dict[str, Any]]] = [
    (Kind.TIME, TIMES), (Kind.ID, IDS), (Kind.NUMBER, NUMBERS), (Kind.TEXT, TEXTS),
]  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(("kind", "expected"), WANTED)
def test_a_column_of_any_type_is_read_or_counted(
    tmp_path: Path, name: str, kind: Kind, expected: dict[str, Any]
) -> None:
    found = read(tmp_path / "t.parquet", COLUMNS[name], kind)
    value = found.rows["value"].item()
    assert found.rows.schema["value"] == DTYPES[kind]
    if name == "float, nan" and kind is Kind.NUMBER:
        assert value != value
        return
    if name == "map" and kind is Kind.TEXT:
        assert '"a"' in value
        return
    assert value == expected.get(name)
    lost = value is None and name != "null"
    assert dict(found.unreadable) == ({f"value is no {kind}": 1} if lost else {})


def test_a_zone_is_carried_to_utc(tmp_path: Path) -> None:
    local = pa.array(["2150-01-02T07:00:00-05:00"]).cast(pa.timestamp("us", "UTC"))
    zoned = local.cast(pa.timestamp("ms", "America/New_York"))
    assert read(tmp_path / "t.parquet", zoned, Kind.TIME).rows["value"].item() == NOON


def test_rows_are_numbered_within_a_batch_and_subjects_that_are_none_dropped(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.parquet"
    ids = pa.array(["1", None, "x", "4.0", "5"])
    pq.write_table(pa.table({"SUBJECT_ID": ids, "Value": pa.array([1, 2, 3, 4, 5])}), path)
    table = SourceTable("things", "hosp", {"value": Kind.TEXT}, True)
    parts = list(read_parquet_blocks(path, table, header=read_header(path, table), rows=2))
    rows = [part.rows.select(SUBJECT, "value", ROW).rows() for part in parts]
    assert rows == [[(1, "1", 1)], [(4, "4", 2)], [(5, "5", 1)]]
    assert [dict(part.dropped) for part in parts] == [
        {"no readable subject_id": 1}, {"no readable subject_id": 1}, {},
    ]  # fmt: skip
    assert [part.records for part in parts] == [2, 2, 1]
