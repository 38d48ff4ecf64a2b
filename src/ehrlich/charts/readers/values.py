"""Columns of any type as the kinds that the dictionary wants; what does not fit is counted."""

from __future__ import annotations

import json
from collections import Counter

import polars as pl

from ehrlich.charts.readers.columns import SUBJECT, Kind, SourceTable

POLARS_TYPES = {
    Kind.TIME: pl.Datetime("us"),
    Kind.ID: pl.Int64(),
    Kind.NUMBER: pl.Float32(),
    Kind.TEXT: pl.String(),
}


def as_kinds(frame: pl.DataFrame, table: SourceTable) -> tuple[pl.DataFrame, Counter[str]]:
    """Columns as their kinds; what does not fit becomes null and is counted by column."""
    kinds = dict(table.kinds)
    if table.subject:
        kinds[SUBJECT] = Kind.ID
    result = frame.with_columns(
        _as_kind(pl.col(name), frame.schema[name], kind).alias(name) for name, kind in kinds.items()
    )
    wrong = {
        name: result[name].null_count() - frame[name].null_count()
        for name, kind in kinds.items()
        if kind is not Kind.TEXT
    }
    return result, Counter({f"{name} is no {kinds[name]}": n for name, n in wrong.items() if n})


def _as_kind(column: pl.Expr, dtype: pl.DataType, kind: Kind) -> pl.Expr:
    """A column (from parquet of any type) as `kind`; null where it does not fit."""
    if isinstance(dtype, pl.Categorical | pl.Enum):
        column, dtype = column.cast(pl.String), pl.String()
    if isinstance(dtype, pl.Binary):
        column, dtype = column.map_elements(_utf8, return_dtype=pl.String), pl.String()
    if isinstance(dtype, pl.String):
        return lenient(column, kind)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if kind is Kind.TEXT:
        return _as_printed(column, dtype)
    if kind is Kind.TIME:
        fits = isinstance(dtype, pl.Datetime | pl.Date)
    else:
        fits = dtype.is_numeric() or isinstance(dtype, pl.Boolean)
    if not fits:
        return pl.lit(None, dtype=POLARS_TYPES[kind])
    if kind is Kind.ID and not dtype.is_integer() and dtype.is_numeric():
        column = pl.when(column == column.floor()).then(column)
    return column.cast(POLARS_TYPES[kind], strict=False)


def _as_printed(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A typed column as text; whole floats as integers, which the source may have had."""
    if isinstance(dtype, pl.Datetime | pl.Date):
        return column.cast(pl.Datetime("us")).dt.to_string("%Y-%m-%d %H:%M:%S")
    if isinstance(dtype, pl.Array):
        column, dtype = column.arr.to_list(), pl.List(dtype.inner)
    if isinstance(dtype, pl.Duration):
        return column.dt.to_string("polars")
    if dtype.is_float():
        whole = (column == column.floor()) & (column.abs() < 1e15)
        return (
            pl.when(whole).then(column.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(column.cast(pl.String))
        )  # fmt: skip
    if isinstance(dtype, pl.List) and _is_plain(dtype.inner):
        return column.cast(pl.List(pl.String)).list.join("\n")
    if dtype.is_nested():
        return column.map_elements(_json, return_dtype=pl.String)
    return column.cast(pl.String, strict=False)


def _is_plain(dtype: object) -> bool:
    return isinstance(dtype, pl.DataType) and not dtype.is_nested()


def _utf8(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


def _json(value: object) -> str:
    value = value.to_list() if isinstance(value, pl.Series) else value
    return json.dumps(value, default=str)


def lenient(column: pl.Expr, kind: Kind) -> pl.Expr:
    """A text column as `kind`, null where it does not fit."""
    if kind is Kind.TIME:
        clean = column.str.strip_chars().str.replace("T", " ", literal=True)
        return pl.coalesce(
            clean.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False),
            clean.str.to_datetime("%Y-%m-%d %H:%M", time_unit="us", strict=False),
            clean.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")),
        )
    if kind is Kind.ID:
        whole = column.str.strip_chars().str.strip_suffix(".0")
        return whole.cast(pl.Int64, strict=False)
    if kind is Kind.NUMBER:
        return column.str.strip_chars().cast(pl.Float32, strict=False)
    return column
