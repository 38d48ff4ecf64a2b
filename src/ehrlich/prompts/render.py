"""Events as Markdown. Pure: measurements in, one text an event out; nothing is hidden here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from ehrlich.prompts.cells import AGE, Form, Look, changes_at_end
from ehrlich.prompts.style import Style

TIME = "%Y-%m-%d %H:%M:%S"
BETWEEN = "\n\n"
OLDEST_SHOWN = 89


@dataclass(frozen=True)
class Writer:
    """A style, for the tables of one timeline (tables.parquet).

    - whole: tables of which all numbers in the timeline are whole (asked for by `as_file`).
    - strict: charts hide what was not known at prediction_time (compat: all of an event).
    """

    style: Style
    tables: pl.DataFrame
    whole: frozenset[str] = frozenset()
    strict: bool = True

    @cached_property
    def looks(self) -> dict[str, Look]:
        """table → how it looks, for tables that are shown."""
        return {
            name: Look(self.style.of_table(name), tuple(fields), self.style, name in self.whole)
            for name, fields in self.tables.select("table", "fields").iter_rows()
            if not self.style.of_table(name).skip
        }

    @cached_property
    def shown(self) -> pl.DataFrame:
        """table, title, header (of a Markdown table), listed (never one), ends (changes then)."""
        lines = [
            (name, look.table.title or heading, look.header, look.is_note,
             changes_at_end(look, late))
            for name, heading, late in self.tables.select("table", "heading", "late").iter_rows()
            if (look := self.looks.get(name))
        ]  # fmt: skip
        texts = dict.fromkeys(("table", "title", "header"), pl.String)
        schema = {**texts, "listed": pl.Boolean, "ends": pl.Boolean}
        return pl.DataFrame(lines, schema=schema, orient="row")

    def row_texts(self, rows: pl.DataFrame, *, form: Form) -> pl.Series:
        """The text of each measurement (with `fields`), null for tables that are not shown."""
        placed = rows.with_row_index("_place")
        texts = [
            part.select("_place", text=self.looks[str(name)].text(form))
            for (name,), part in placed.partition_by("table", as_dict=True).items()
            if name in self.looks
        ]
        if not texts:
            return pl.Series("text", [None] * rows.height, dtype=pl.String)
        found = placed.select("_place").join(
            pl.concat(texts), on="_place", how="left", maintain_order="left"
        )
        return found["text"]

    def event_texts(self, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """`keys`, table, text: one an event (rows of equal keys), in order of its first row.

        The time in the heading is that of the first row. One row becomes a list, several become
        a table.
        """
        looked = rows.join(self.shown.select("table", "listed"), on="table", maintain_order="left")
        single = (pl.len().over(keys) == 1) | pl.col("listed")
        placed = looked.with_row_index("_row").with_columns(_single=single)
        halves: list[pl.DataFrame] = []
        forms: tuple[Form, Form] = ("list", "line")
        for form in forms:
            half = placed.filter(pl.col("_single") == (form == "list"))
            texts = self.row_texts(half, form=form)
            halves.append(half.select(*keys, "table", "time", "_row", "_single", text=texts))
        events = self.joined(pl.concat(halves).sort("_row"), keys)
        return events.select(*keys, "table", "text")

    def joined(self, texts: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
        """Events from the texts of their rows, in order.

        `texts`: keys, table, time, _single (its text is a list), text. Returns keys, table, text.
        """
        events = texts.group_by(keys, maintain_order=True).agg(
            pl.col("table").first(),
            pl.col("time").first(),
            pl.col("_single").first(),
            pl.col("text").filter(pl.col("_single")).str.join(BETWEEN).alias("_lists"),
            pl.col("text").filter(~pl.col("_single")).str.join("\n").alias("_lines"),
        )
        looked = events.join(self.shown, on="table", how="left", maintain_order="left")
        body = pl.when("_single").then("_lists").otherwise(pl.col("header") + pl.col("_lines"))
        # The released code breaks the line after a heading even where nothing follows.
        show_empty = pl.lit(not self.style.omit_empty)
        headed = pl.concat_str(
            [_heading(), pl.when(show_empty | (body != "")).then(body)],
            separator="\n",
            ignore_nulls=True,
        )
        return looked.select(*keys, "table", text=headed)

    def facts(self, rows: pl.DataFrame) -> pl.DataFrame:
        """subject_id, born, text: the facts of each subject, AGE standing for the age.

        `rows` are facts alone (`cohorts.context.is_fact`); born is null where there is no birth.
        """
        texts = rows.select("subject_id", "time", text=self.row_texts(rows, form="list"))
        head = f"## {self.style.facts}"
        if self.style.facts_time is not None:
            head = f"{head} [{self.style.facts_time}]"
        said = pl.col("text").filter(pl.col("text") != "")
        # The birth has the only time among facts; it is written first.
        facts = (
            texts.sort("subject_id", pl.col("time").is_null(), maintain_order=True)
            .group_by("subject_id", maintain_order=True)
            .agg(born=pl.col("time").drop_nulls().first(), text=said.str.join("\n"))
        )
        text = pl.when(pl.col("text") != "").then(pl.col("text"))
        joined = pl.concat_str([pl.lit(head), text], separator="\n", ignore_nulls=True)
        return facts.with_columns(text=joined)


def _heading() -> pl.Expr:
    return pl.format("## {} [{}]", "title", pl.col("time").dt.strftime(TIME))


def _day_of_year(time: pl.Expr) -> pl.Expr:
    """Month and day as one number. Polars has both in eight bits."""
    return time.dt.month().cast(pl.Int32) * 100 + time.dt.day()


def with_age(text: pl.Expr, born: pl.Expr, *, at: pl.Expr) -> pl.Expr:
    """Facts with the age in whole years at `at`; ages that de-identification hides stay hidden."""
    birthday = _day_of_year(at) >= _day_of_year(born)
    years = at.dt.year() - born.dt.year() - (~birthday).cast(pl.Int32)
    said = pl.when(years > OLDEST_SHOWN).then(pl.lit(f"over {OLDEST_SHOWN}"))
    age = said.otherwise(years.cast(pl.String)).fill_null("unknown")
    return text.str.replace(AGE, age, literal=True)
