"""Rows of one source table → measurements of one table of the timeline. Frames in, frames out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from ehrlich.charts.readers.blocks import ROW
from ehrlich.charts.readers.columns import SUBJECT
from ehrlich.charts.readers.dictionary import Code, Columns, Link, Policy, Table, Time

RANK_SHIFT = 48
FIELDS = "fields"
TIME = pl.Datetime("us")
END_OF_DAY = pl.duration(hours=23, minutes=59, seconds=59)


class Measured(NamedTuple):
    """Measurements of one table (without event numbers), and source rows dropped by reason."""

    rows: pl.DataFrame
    dropped: Counter[str]
    oddities: Counter[str]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one table is made: its rules, its rank among all tables, and the policy."""

    name: str
    table: Table
    rank: int
    policy: Policy


def measure(rows: pl.DataFrame, recipe: Recipe, *, linked: Mapping[str, pl.DataFrame]) -> Measured:
    """Measurements of `rows`; a row without a usable time is dropped and counted.

    `linked`: table → its rows, for each link of the table; a table that is absent gives nulls.
    """
    dropped: Counter[str] = Counter()
    oddities: Counter[str] = Counter()
    table = recipe.table
    if recipe.policy == "strict":
        rows = _unique(rows, table, dropped)
    for column, width in table.digits.items():
        rows = rows.with_columns(full_digits(column, width))
    for name, link in table.links.items():
        rows = attach(rows, name, link=link, other=linked.get(link.table))
    framed = rows.select(_columns(rows, recipe))
    return _timed(framed, recipe, dropped, oddities)


def _unique(rows: pl.DataFrame, table: Table, dropped: Counter[str]) -> pl.DataFrame:
    """Rows less the copies of an earlier one; a row whose last key is missing is no copy."""
    if not table.unique:
        return rows
    keys = pl.struct(list(dict.fromkeys((SUBJECT, *table.unique))))
    # Rows of equal keys have equal hashes: only those few are compared in full.
    alike = rows.select(keys.hash().is_duplicated() & pl.col(table.unique[-1]).is_not_null())
    if not alike.to_series().any():
        return rows
    numbered = rows.with_row_index("place")
    copies = numbered.filter(alike.to_series()).filter(keys.is_first_distinct().not_())["place"]
    dropped["the same row again"] += copies.len()
    return numbered.filter(pl.col("place").is_in(copies.implode()).not_()).drop("place")


def full_digits(column: str, width: int) -> pl.Expr:
    """Codes as text of `width` digits with their leading zeros; 0 and blanks are missing."""
    code = pl.col(column).str.strip_chars().str.strip_suffix(".0")
    digits = pl.when(code.str.contains(r"^\d+$")).then(code.str.zfill(width)).otherwise(code)
    return pl.when(code.str.contains(r"^0*$")).then(None).otherwise(digits).alias(column)


def attach(
    rows: pl.DataFrame, name: str, *, link: Link, other: pl.DataFrame | None
) -> pl.DataFrame:
    """`rows` with the link's columns as `link.column`, null where nothing is found."""
    names = {column: f"{name}.{column}" for column in link.columns}
    if other is None or not set(link.by.values()) <= set(rows.columns):
        return rows.with_columns(pl.lit(None, dtype=pl.String).alias(new) for new in names.values())
    keys = list(link.by)
    typed = other.with_columns(
        pl.col(theirs).cast(rows.schema[ours], strict=False) for theirs, ours in link.by.items()
    )
    for column, value in link.where.items():
        typed = typed.filter(pl.col(column) == value)
    if link.ignore_case:
        typed = typed.with_columns(pl.col(keys).str.strip_chars().str.to_lowercase())
    values = _one_row_a_key(typed.drop_nulls(keys), link, keys)
    renamed = values.select(
        *(pl.col(key).alias(f"_{key}") for key in keys),
        *(pl.col(source).alias(names[column]) for column, source in link.columns.items()),
    )
    ours = [pl.col(name) for name in link.by.values()]
    if link.ignore_case:
        ours = [name.str.strip_chars().str.to_lowercase() for name in ours]
    return rows.join(
        renamed, left_on=ours, right_on=[f"_{key}" for key in keys], how="left",
        maintain_order="left",
    )  # fmt: skip


def _one_row_a_key(other: pl.DataFrame, link: Link, keys: list[str]) -> pl.DataFrame:
    columns = list(dict.fromkeys(link.columns.values()))
    if link.take == "first":
        return other.unique(keys, keep="first", maintain_order=True).select(*keys, *columns)
    grouped = other.group_by(keys, maintain_order=True)
    if link.take == "latest":
        return grouped.agg(pl.col(columns).max())
    shown = (
        pl.concat_str(link.label, pl.col(column), separator=": ") if link.label else pl.col(column)
        for column in columns
    )
    return grouped.agg(
        values.drop_nulls().unique(maintain_order=True).str.join("\n").alias(column)
        for values, column in zip(shown, columns, strict=True)
    ).with_columns(pl.col(column).replace("", None) for column in columns)


def _columns(rows: pl.DataFrame, recipe: Recipe) -> list[pl.Expr]:
    """The contract's columns, in its order; event numbers come later."""
    table = recipe.table
    rule = (recipe.policy == "compat" and table.compat.time) or table.time
    avail = table.avail if recipe.policy == "strict" else None
    end = (recipe.policy == "compat" and table.compat.end) or table.end
    number = _number(table.number, rows)
    return [
        pl.col(SUBJECT),
        _time(rule if isinstance(rule, Time) else None, rows, recipe.policy).alias("time"),
        code_text(table.code, rows).alias("code"),
        number.alias("numeric_value"),
        _text_beside(table.text, number, rows).alias("text_value"),
        (pl.col(ROW) + (recipe.rank << RANK_SHIFT)).alias("row_id"),
        pl.lit(recipe.name).alias("table"),
        _first_of(table.encounter, rows, pl.Int64()).alias("encounter_id"),
        _first_of((table.stay,) if table.stay else (), rows, pl.Int64()).alias("stay_id"),
        _time(avail, rows, recipe.policy).alias("avail_time"),
        _time(end or None, rows, recipe.policy).alias("end_time"),
        _text(table.item, rows).alias("item"),
        _text((table.unit,) if table.unit else (), rows).alias("unit"),
        _text((table.flag,) if table.flag else (), rows).alias("flag"),
        _number(table.ref_low, rows).alias("ref_low"),
        _number(table.ref_high, rows).alias("ref_high"),
        _detail(table, rows).alias(FIELDS),
    ]


def _detail(table: Table, rows: pl.DataFrame) -> pl.Expr:
    if not table.fields:
        return pl.lit(None, dtype=pl.List(pl.String))
    texts = [_text(columns, rows) for columns in table.fields.values()]
    known = pl.any_horizontal(text.is_not_null() for text in texts)
    return pl.when(known).then(pl.concat_list(texts))


def code_text(code: Code, rows: pl.DataFrame) -> pl.Expr:
    """PREFIX//value//value with UNK for a missing value; newlines of joined values become '; '."""
    parts = [_text((column,), rows).fill_null("UNK") for column in code.columns]
    joined = (
        pl.concat_str(pl.lit(code.prefix), *parts, separator="//")
        if code.prefix
        else pl.concat_str(*parts, separator="//")
    )
    many = any("." in column for column in code.columns)
    return joined.str.replace_all("\n", "; ", literal=True) if many else joined


def _first_of(columns: Columns, rows: pl.DataFrame, dtype: pl.DataType) -> pl.Expr:
    known = [pl.col(name).cast(dtype, strict=False) for name in columns if name in rows.columns]
    return pl.coalesce(known) if known else pl.lit(None, dtype=dtype)


def _text(columns: Columns, rows: pl.DataFrame) -> pl.Expr:
    known = [_as_text(name, rows.schema[name]) for name in columns if name in rows.columns]
    if not known:
        return pl.lit(None, dtype=pl.String)
    return known[0] if len(known) == 1 else pl.coalesce(known)


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype.is_temporal():
        return column.dt.to_string("%Y-%m-%d %H:%M:%S")
    return column if dtype == pl.String else column.cast(pl.String)


def _number(name: str | None, rows: pl.DataFrame) -> pl.Expr:
    if name is None or name not in rows.columns:
        return pl.lit(None, dtype=pl.Float32)
    column = pl.col(name)
    if rows.schema[name] == pl.String:
        column = column.str.strip_chars().cast(pl.Float32, strict=False)
    # "NaN" and "inf" are no measurements.
    return pl.when(column.is_finite()).then(column).otherwise(None)


def _text_beside(name: str | None, number: pl.Expr, rows: pl.DataFrame) -> pl.Expr:
    """The text of a value, unless it only repeats the number."""
    if name is None or name not in rows.columns:
        return pl.lit(None, dtype=pl.String)
    text = _text((name,), rows)
    if rows.schema[name] != pl.String:
        return text
    repeats = text.cast(pl.Float32, strict=False).eq_missing(number) & number.is_not_null()
    return pl.when(repeats).then(None).otherwise(text)


def _time(rule: Time | None, rows: pl.DataFrame, policy: Policy) -> pl.Expr:
    if rule is None:
        return pl.lit(None, dtype=TIME)
    found = _rule_time(rule, rows, policy)
    return found + pl.duration(seconds=rule.plus_s) if rule.plus_s else found


def _rule_time(rule: Time, rows: pl.DataFrame, policy: Policy) -> pl.Expr:
    if rule.column:
        if rule.column not in rows.columns:
            return pl.lit(None, dtype=TIME)
        column = pl.col(rule.column).cast(TIME)
        if not rule.date_only:
            return column
        day = column.dt.truncate("1d")
        return day + END_OF_DAY if policy == "strict" else day
    if rule.year:
        year = pl.col(rule.year).cast(pl.Int32, strict=False)
        if rule.minus_years:
            year = year - pl.col(rule.minus_years).cast(pl.Int32, strict=False)
        return pl.datetime(year.clip(1, 9999), 1, 1, time_unit="us")
    if rule.earliest:
        return pl.min_horizontal(_time(part, rows, policy) for part in rule.earliest)
    if rule.latest:
        return pl.max_horizontal(_time(part, rows, policy) for part in rule.latest)
    return pl.coalesce(_time(part, rows, policy) for part in rule.first)


def span_bounds(rows: pl.DataFrame, start: Time, *, end: Time) -> tuple[pl.Expr, pl.Expr]:
    """The two rules as expressions over `rows`."""
    return _time(start, rows, "strict"), _time(end, rows, "strict")


def _timed(
    framed: pl.DataFrame, recipe: Recipe, dropped: Counter[str], oddities: Counter[str]
) -> Measured:
    """Rows with a usable time; an end before its start and an early avail_time are masked."""
    kept = framed
    after_stay = recipe.policy == "compat" and recipe.table.compat.after_stay
    if recipe.table.time != "static" and not after_stay and framed["time"].has_nulls():
        kept = framed.drop_nulls("time")
        dropped["no time"] += framed.height - kept.height
    negative = (pl.col("end_time") < pl.col("time")).fill_null(value=False)
    if backwards := int(kept.select(negative.sum()).item()):
        oddities["ends before it starts (end not used)"] += backwards
    masked = kept.with_columns(
        pl.when(negative).then(None).otherwise(pl.col("end_time")).alias("end_time"),
        pl.when(pl.col("avail_time") > pl.col("time"))
        .then(pl.col("avail_time"))
        .alias("avail_time"),
    )
    return Measured(masked, dropped, oddities)
