"""One shard of charts, made ready for every task: its events, episodes and deaths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import polars as pl

from ehrlich.charts.readers.dictionary import Predicate
from ehrlich.charts.timeline import FIELDS, Charts
from ehrlich.cohorts.task import Episode, Policy

SUBJECT = "subject_id"
KEY = (SUBJECT, "event")
# Episode → the predicates that begin and end it.
ENDS: dict[Episode, tuple[str, str]] = {
    "ed": ("ed_in", "ed_out"),
    "hospital": ("admission", "discharge"),
    "icu": ("icu_in", "icu_out"),
}


@dataclass(frozen=True)
class Source:
    """What tasks need to know of a timeline beside its rows."""

    predicates: Mapping[str, Predicate]
    tables: pl.DataFrame
    policy: Policy

    @classmethod
    def of(cls, charts: Charts) -> Source:
        """That of a finished charts folder."""
        return cls(charts.predicates, charts.tables, cast(Policy, charts.policy))

    def field_place(self, table: str, field: str) -> int | None:
        """Where a field stands among a table's fields."""
        found = self.tables.filter(pl.col("table") == table)["fields"]
        names: list[str] = found[0].to_list() if found.len() else []
        return names.index(field) if field in names else None


@dataclass(frozen=True)
class Scene:
    """Measurements of one shard (contract order, with `fields`), and what follows from them."""

    rows: pl.DataFrame
    source: Source

    @cached_property
    def events(self) -> pl.DataFrame:
        """One row an event, in order: table, start, visible_from, encounter_id, stay_id."""
        return events_of(self.rows)

    def shown_events(
        self, hide: Sequence[str], hide_items: Mapping[str, Sequence[str]]
    ) -> pl.DataFrame:
        """Events that a context may show: without hidden tables, and rows of hidden items."""
        key = (tuple(hide), *((table, *items) for table, items in hide_items.items()))
        if key not in self._shown:
            rows_hidden = [
                (pl.col("table") == table) & pl.col("item").is_in(list(items))
                for table, items in hide_items.items()
            ]
            events = self.events
            if rows_hidden:
                events = events_of(
                    self.rows.filter(~pl.any_horizontal(rows_hidden).fill_null(value=False))
                )
            self._shown[key] = events.filter(~pl.col("table").is_in(list(hide)))
        return self._shown[key]

    @cached_property
    def _shown(self) -> dict[tuple[tuple[str, ...], ...], pl.DataFrame]:
        return {}

    @cached_property
    def deaths(self) -> pl.DataFrame:
        """subject_id, death. Compat charts have no deaths of their own: the static row's end."""
        if self.source.policy == "compat":
            static = self.rows.filter(pl.col("time").is_null())
            return static.select(SUBJECT, death="end_time").drop_nulls().unique(SUBJECT)
        found = self.matching("death").select(SUBJECT, death="time")
        return found.drop_nulls().group_by(SUBJECT).agg(pl.col("death").min())

    def matching(self, predicate: str) -> pl.DataFrame:
        """Rows that the predicate means; none where the source does not bind it."""
        rule = self.source.predicates.get(predicate)
        if rule is None:
            return self.rows.clear()
        codes = self.rows["code"].unique()
        meant = codes.filter(codes.str.contains(rule.code))
        rows = self.rows.filter(pl.col("code").is_in(meant.implode()))
        return (
            rows
            if rule.numeric_value is None
            else rows.filter(pl.col("numeric_value") == rule.numeric_value)
        )

    @cached_property
    def _episodes(self) -> dict[Episode, pl.DataFrame]:
        return {kind: self._find_episodes(kind) for kind in ENDS}

    def episodes(self, kind: Episode) -> pl.DataFrame:
        """Episodes of a kind, by subject and start.

        encounter_id, stay_id, start, end, event, row_id, item, death (of the subject), died (in
        the hospital stay that it belongs to, or in the ED), died_here (before this episode ended).
        """
        return self._episodes[kind]

    def _find_episodes(self, kind: Episode) -> pl.DataFrame:
        begins, ends = ENDS[kind]
        own = "encounter_id" if kind == "hospital" else "stay_id"
        starts = self.matching(begins).select(
            SUBJECT,
            "encounter_id",
            "stay_id",
            "event",
            "row_id",
            "item",
            start="time",
            _end="end_time",
        )
        last = self.matching(ends).drop_nulls(own).group_by(SUBJECT, own).agg(pl.col("time").max())
        joined = starts.join(last, on=[SUBJECT, own], how="left").with_columns(
            end=pl.coalesce("_end", "time")
        )
        return self._with_deaths(joined.drop("_end", "time"), kind).sort(SUBJECT, "start", "row_id")

    def _with_deaths(self, episodes: pl.DataFrame, kind: Episode) -> pl.DataFrame:
        """`episodes` with death, died, died_here and, for the ICU, when the hospital stay ends."""
        stays = self.matching("hospital_death").select(SUBJECT, "encounter_id").drop_nulls()
        joined = episodes.join(self.deaths, on=SUBJECT, how="left").join(
            stays.unique().with_columns(_died=pl.lit(True)),
            on=[SUBJECT, "encounter_id"],
            how="left",
        )
        died = pl.col("_died").fill_null(value=False)
        within = (pl.col("death") >= pl.col("start")) & (pl.col("death") <= pl.col("end"))
        here = within.fill_null(value=False)
        if kind == "hospital":
            return joined.with_columns(died=died, died_here=died | here).drop("_died")
        if kind == "icu":
            ends = self._find_episodes("hospital").select(SUBJECT, "encounter_id", _out="end")
            unique = ends.drop_nulls().unique([SUBJECT, "encounter_id"], keep="first")
            joined = joined.join(unique, on=[SUBJECT, "encounter_id"], how="left")
            # Whoever leaves the ICU and dies on the ward left the ICU alive.
            last = (died & (pl.col("end") >= pl.col("_out"))).fill_null(value=False)
            return joined.with_columns(died=died, died_here=last | here).drop("_died", "_out")
        expired = self.matching("ed_death").select(SUBJECT, "stay_id").unique()
        joined = joined.join(
            expired.with_columns(_ed=pl.lit(True)), on=[SUBJECT, "stay_id"], how="left"
        )
        here = here | pl.col("_ed").fill_null(value=False)
        return joined.with_columns(died=died | here, died_here=here).drop("_died", "_ed")


def events_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Events of measurements in the contract's order.

    subject_id, event, table, start (time of the first row), visible_from (when the first of its
    rows could be seen), encounter_id, stay_id, row_id (of the first row), n_rows.
    """
    seen = pl.max_horizontal("time", "avail_time")
    return rows.group_by(KEY, maintain_order=True).agg(
        pl.col("table").first(),
        pl.col("time").first().alias("start"),
        seen.min().alias("visible_from"),
        pl.col("encounter_id").first(),
        pl.col("stay_id").first(),
        pl.col("row_id").first(),
        pl.len().alias("n_rows"),
    )


def values_of(rows: pl.DataFrame, source: Source, column: str) -> pl.DataFrame:
    """subject_id, event, time, start (of the event), seen_from, encounter_id, value: each value.

    `rows` are of one or more tables; several names in one item stand on lines of their own.
    """
    if column in ("item", "text_value", "table"):
        value = pl.col(column)
    else:
        value = pl.lit(None, dtype=pl.String)
        for table in rows["table"].unique().to_list():
            place = source.field_place(table, column)
            if place is not None:
                field = pl.col(FIELDS).list.get(place, null_on_oob=True)
                value = pl.when(pl.col("table") == table).then(field).otherwise(value)
    lines = value.str.split("\n") if column != "text_value" else pl.concat_list(value)
    return (
        rows.select(
            SUBJECT, "event", "time", "encounter_id", start=pl.col("time").first().over(KEY),
            seen_from=pl.max_horizontal("time", "avail_time"), value=lines,
        )
        .explode("value").with_columns(pl.col("value").str.strip_chars())
        .filter(pl.col("value").is_not_null() & (pl.col("value") != ""))
    )  # fmt: skip
