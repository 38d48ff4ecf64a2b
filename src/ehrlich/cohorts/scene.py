"""One shard of charts, made ready for every task: its events, episodes and deaths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import polars as pl

from ehrlich.charts.readers.dictionary import Predicate
from ehrlich.charts.timeline import FIELDS, Charts
from ehrlich.cohorts.task import Context, Episode, Policy
from ehrlich.cohorts.windows import EventIndex

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

    def index_of(self, context: Context) -> EventIndex:
        """The events that a context may show, without hidden tables and rows of hidden items."""
        hidden = tuple((table, *items) for table, items in sorted(context.hide_items.items()))
        key = (context.same_encounter, tuple(sorted(context.hide)), hidden)
        if key not in self._indices:
            events = self.events
            if context.hide_items:
                events = events_of(self.rows.filter(~hidden_rows(context)))
            shown = events.filter(~pl.col("table").is_in(list(context.hide)))
            self._indices[key] = EventIndex(shown, same_encounter=context.same_encounter)
        return self._indices[key]

    @cached_property
    def _indices(self) -> dict[tuple[object, ...], EventIndex]:
        return {}

    @cached_property
    def deaths(self) -> pl.DataFrame:
        """subject_id, death. Compat charts have no deaths of their own: the static row's end."""
        if self.source.policy == "compat":
            static = self.rows.filter(pl.col("time").is_null())
            return static.select(SUBJECT, death="end_time").drop_nulls().unique(SUBJECT)
        found = self.matching("death").select(SUBJECT, death="time")
        return found.drop_nulls().group_by(SUBJECT).agg(pl.col("death").min())

    def table(self, name: str) -> pl.DataFrame:
        """Measurements of one table, or of all (`*`); found once for the tasks that share it."""
        if name == "*":
            return self.rows
        if name not in self._tables:
            self._tables[name] = self.rows.filter(pl.col("table") == name)
        return self._tables[name]

    @cached_property
    def _tables(self) -> dict[str, pl.DataFrame]:
        return {}

    def matching(self, predicate: str) -> pl.DataFrame:
        """Rows that the predicate means; none where the source does not bind it."""
        rule = self.source.predicates.get(predicate)
        if rule is None:
            return self.rows.clear()
        meant = pl.col("code").str.contains(rule.code)
        if rule.numeric_value is not None:
            meant = meant & (pl.col("numeric_value") == rule.numeric_value)
        return self._bound.filter(meant)

    @cached_property
    def _bound(self) -> pl.DataFrame:
        """The few rows that any predicate may mean."""
        codes = self.rows["code"].unique()
        rules = [rule.code for rule in self.source.predicates.values()]
        meant = codes.filter(codes.str.contains("|".join(f"(?:{rule})" for rule in rules) or "^$"))
        return self.rows.filter(pl.col("code").is_in(meant.implode()))

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
        stays = self._hospital_deaths(episodes, kind).select(SUBJECT, "encounter_id").drop_nulls()
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

    def _hospital_deaths(self, episodes: pl.DataFrame, kind: Episode) -> pl.DataFrame:
        """Stays that ended in death: as the source says, else those that a death falls into."""
        if "hospital_death" in self.source.predicates:
            return self.matching("hospital_death")
        stays = episodes if kind == "hospital" else self._find_episodes("hospital")
        dated = stays.select(SUBJECT, "encounter_id", "start", "end").join(self.deaths, on=SUBJECT)
        return dated.filter(pl.col("death").is_between("start", "end"))


def hidden_rows(context: Context) -> pl.Expr:
    """Measurements whose items the task hides."""
    hidden = [
        (pl.col("table") == table) & pl.col("item").is_in(list(items))
        for table, items in context.hide_items.items()
    ]
    return pl.any_horizontal(pl.lit(False), *hidden).fill_null(value=False)


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


def values_of(rows: pl.DataFrame, source: Source, *, column: str) -> pl.DataFrame:
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
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in KEY)
    named = rows.select(
        SUBJECT,
        "event",
        "time",
        "encounter_id",
        start=pl.when(changed).then(pl.col("time")).forward_fill(),
        seen_from=pl.max_horizontal("time", "avail_time"),
        value=value,
    ).drop_nulls("value")
    if column != "text_value" and named["value"].str.contains("\n", literal=True).any():
        named = named.with_columns(pl.col("value").str.split("\n")).explode("value")
    stripped = named.with_columns(pl.col("value").str.strip_chars())
    return stripped.filter(pl.col("value") != "")
