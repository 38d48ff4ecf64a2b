"""Measurements as text: the cells, the line of a table and the list that a style asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import polars as pl

from ehrlich.charts.timeline import FIELDS
from ehrlich.prompts.neutral import cell_expr, neutral_expr, note_expr
from ehrlich.prompts.released_floats import released_floats
from ehrlich.prompts.style import Column, Style, TableStyle

Form = Literal["line", "list"]
# Stands for the age in the facts until the prediction_time is known; no chart holds it.
AGE = "\ue000"
MEASURED = ("item", "text_value", "unit", "flag")
NUMBERS = ("numeric_value", "ref_low", "ref_high")
DE_IDENTIFIED = r"^\s*_*\s*$"
LARGE = 1000
ABNORMAL = "(abnormal)"
WHOLE = r"\.0$"


@dataclass(frozen=True)
class Look:
    """How one table looks, and the names of its fields.

    whole: all numbers of the table, in all the timeline, are whole ones.
    """

    table: TableStyle
    names: tuple[str, ...]
    style: Style
    whole: bool = False

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The table's columns, and where it asks for all fields those not yet among them."""
        if not self.table.fields:
            return self.table.columns
        used = {name for column in self.table.columns.values() for name in column.of}
        more = {
            name.replace("_", " ").capitalize(): Column(of=(name,))
            for name in self.names
            if name not in used
        }
        return {**self.table.columns, **more}

    @property
    def is_note(self) -> bool:
        """Whether its events are texts: each measurement a list with a body, never a table."""
        return self.table.body is not None

    @cached_property
    def header(self) -> str:
        """The two lines that open a Markdown table; empty for a table without columns."""
        if not self.columns:
            return ""
        rule = " | ".join(["------"] * len(self.columns))
        return f"| {' | '.join(self.columns)} |\n| {rule} |\n"

    def text(self, form: Form) -> pl.Expr:
        """A measurement (with `fields`) as a table's line, or as a list; "" where nothing is known.

        A list has a line `- Key: value` a column, and the body after it.
        """
        cells = [(key, column, _cell(column, self)) for key, column in self.columns.items()]
        if form == "line":
            filled = [cell.fill_null(_empty(column, self.style)) for _, column, cell in cells]
            return pl.format("| {} |", _joined(filled, " | ")) if filled else pl.lit("")
        lines = [_keyed(key, column, cell, self.style) for key, column, cell in cells]
        return _with_body(_joined(lines, "\n"), self.table, self.style)


def _joined(parts: Sequence[pl.Expr], separator: str) -> pl.Expr:
    if not parts:
        return pl.lit("")
    return pl.concat_str(parts, separator=separator, ignore_nulls=True)


def changes_at_end(look: Look, late: Sequence[str]) -> bool:
    """Whether the text of a measurement may change when its end is known; `late` as tables.parquet
    has it.
    """
    made_of = {"value": ("text_value", "numeric_value"), "arrow": ("numeric_value", "flag")}
    shown = {
        part
        for column in look.columns.values()
        for name in column.of
        for part in made_of.get(name, (name,))
    }
    return bool((shown | {look.table.body}) & set(late))


def _keyed(key: str, column: Column, cell: pl.Expr, style: Style) -> pl.Expr:
    if not style.omit_empty:
        cell = cell.fill_null(_empty(column, style))
    return pl.format(f"- {key}: {{}}", cell)


def _with_body(text: pl.Expr, table: TableStyle, style: Style) -> pl.Expr:
    if table.body is None:
        return text
    body = pl.col(table.body)
    body = note_expr(body) if style.escape else neutral_expr(body)
    parts = [pl.when(text != "").then(text), pl.when(body != "").then(body)]
    return pl.concat_str(parts, separator="\n\n", ignore_nulls=True)


def _empty(column: Column, style: Style) -> str:
    return style.empty if column.empty is None else column.empty


def _cell(column: Column, look: Look) -> pl.Expr:
    """The text of a cell, null where it has none."""
    if column.age:
        return pl.lit(AGE)
    parts = [_part(name, look) for name in column.of]
    known = [part for part in parts if part is not None]
    if not known:
        return pl.lit(None, dtype=pl.String)
    first = _written(known[0], column, look)
    # A unit or an arrow says something of the value before it only.
    said = pl.when(first.is_not_null()).then(_joined([first, *known[1:]], " "))
    text = cell_expr(said) if look.style.escape else neutral_expr(said)
    return pl.when(text != "").then(text)


def _written(value: pl.Expr, column: Column, look: Look) -> pl.Expr:
    """The first part of a cell, null where it means that nothing is known."""
    if column.float:
        value = value.map_batches(released_floats, return_dtype=pl.String, is_elementwise=True)
    if column.short:
        value = pl.coalesce(_short(value), value)
    if column.as_file and look.whole:
        value = value.str.replace(WHOLE, "")
    unknown = value.is_in(look.style.missing_words)
    if look.style.escape:
        unknown |= value.str.contains(DE_IDENTIFIED)
    value = pl.when(~unknown).then(value).otherwise(None)
    if column.as_list:
        value = pl.format("['{}']", value.str.replace_all("\n", "', '", literal=True))
    return value


def _short(text: pl.Expr) -> pl.Expr:
    """A number in four digits, more only where it is large; null where the text is none."""
    number = text.cast(pl.Float64, strict=False)
    rounded = pl.when(number.abs() < LARGE).then(number.round_sig_figs(4)).otherwise(number.round())
    return rounded.cast(pl.String).str.replace(WHOLE, "")


def _part(name: str, look: Look) -> pl.Expr | None:
    """One source of a cell; None where the table has no such field."""
    style = look.style
    if name in MEASURED:
        return pl.col(name)
    if name in NUMBERS:
        return _number(pl.col(name), style)
    if name == "called":
        return pl.coalesce("item", "code")
    if name == "value":
        said = pl.col("text_value")
        said = pl.when(~said.str.contains(DE_IDENTIFIED)).then(said)
        return pl.coalesce(said, _number(pl.col("numeric_value"), style))
    if name == "arrow":
        return _arrow()
    if name == "range":
        return _range(style)
    if name not in look.names:
        return None
    return pl.col(FIELDS).list.get(look.names.index(name), null_on_oob=True)


def _number(value: pl.Expr, style: Style) -> pl.Expr:
    text = value.cast(pl.String)
    return text.str.replace(WHOLE, "") if style.whole_numbers else text


def _arrow() -> pl.Expr:
    number, flag = pl.col("numeric_value"), pl.col("flag").str.to_lowercase()
    return (
        pl.when(number > pl.col("ref_high"))
        .then(pl.lit("↑"))
        .when(number < pl.col("ref_low"))
        .then(pl.lit("↓"))
        .when(flag.is_in(["abnormal", "a", "delta"]))
        .then(pl.lit(ABNORMAL))
    )


def _range(style: Style) -> pl.Expr:
    low, high = (_number(pl.col(name), style) for name in ("ref_low", "ref_high"))
    return (
        pl.when(low.is_not_null() & high.is_not_null())
        .then(pl.concat_str([low, high], separator="-"))
        .when(high.is_not_null())
        .then("<= " + high)
        .when(low.is_not_null())
        .then(">= " + low)
    )
