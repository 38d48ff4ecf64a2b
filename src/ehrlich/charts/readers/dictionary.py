"""What a dictionary may say: how one source's tables become a timeline. Data, never code."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import AfterValidator, BeforeValidator, model_validator

from ehrlich.base.config import Model, load_model
from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError

Policy = Literal["strict", "compat"]
STATIC = "static"


class Time(Model):
    """When something happened: the one rule that is set, then `plus_s` seconds."""

    column: str | None = None
    date_only: bool = False
    first: tuple[Time, ...] = ()
    earliest: tuple[Time, ...] = ()
    latest: tuple[Time, ...] = ()
    year: str | None = None
    minus_years: str | None = None
    plus_s: int = 0

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: object) -> object:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_rule(self) -> Time:
        rules = (self.column, self.first, self.earliest, self.latest, self.year)
        if sum(bool(rule) for rule in rules) != 1:
            raise ValueError("say exactly one of column, first, earliest, latest, year")
        if self.minus_years and not self.year:
            raise ValueError("minus_years goes with year")
        return self

    def columns(self) -> Iterator[str]:
        """Every column that the rule reads."""
        yield from (name for name in (self.column, self.year, self.minus_years) if name)
        for part in (*self.first, *self.earliest, *self.latest):
            yield from part.columns()

    def time_columns(self) -> Iterator[str]:
        """Those of them that hold times (not years)."""
        if self.column:
            yield self.column
        for part in (*self.first, *self.earliest, *self.latest):
            yield from part.time_columns()


def _as_names(value: object) -> object:
    """A list of column names means that each field is called as its column."""
    if isinstance(value, list):
        return {str(name).rpartition(".")[2]: name for name in value}
    return value


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _as_regex(pattern: str) -> str:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError as exc:
        raise ValueError(f"is no regular expression that Polars knows: {pattern!r}") from exc
    return pattern


Regex = Annotated[str, AfterValidator(_as_regex)]
# Several columns where one value is wanted: the first that is not missing.
Columns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Names = Annotated[dict[str, str], BeforeValidator(_as_names)]
Fields = Annotated[dict[str, Columns], BeforeValidator(_as_names)]


class Code(Model):
    """PREFIX//value//value; a missing value is written UNK."""

    prefix: str | None = None
    columns: Columns = ()


class Link(Model):
    """Columns taken from another table of the same subject, or from a lookup, by key.

    `by` maps key columns of the other table to columns here. A key that is met more than once
    gives its first row in source order, the greatest value of each column (`latest`), or all
    distinct values joined by newlines (`joined`; with `label`, each as "label: value").
    """

    table: str
    by: Names
    columns: Names
    take: Literal["first", "latest", "joined"] = "first"
    label: str | None = None
    where: dict[str, str] = {}
    ignore_case: bool = False


class Lookup(Model):
    """A table that only completes others, through links.

    By default a reference table, whole in memory; `subject: true`: rows of subjects, which
    travel with their subject; `builtin`: from data packages and the user's maps.
    """

    module: str = ""
    builtin: str | None = None
    subject: bool = False
    missing_costs: str = ""


class Override(Model):
    """What the compat policy changes about a table."""

    skip: str = ""
    after_stay: bool = False
    time: Time | None = None
    end: Time | None = None


class Table(Model):
    """One table of the timeline; its place in the dictionary is its tie-break rank.

    - source: the table of the source it is made from, when that is called otherwise.
    - time, avail, end: when it happened, was known, ended (strict policy; `compat` overrides).
    - fields: what a chart shows beyond the measurement; late: values true only at the end.
    - unique: columns by which a row is a copy of an earlier one, the telling one last.
    - digits: codes of so many digits, whose leading zeros are restored.
    """

    module: str = ""
    source: str | None = None
    required: bool = False
    missing_costs: str = ""
    heading: str
    time: Time | Literal["static"]
    avail: Time | None = None
    end: Time | None = None
    encounter: Columns = ()
    stay: str | None = None
    code: Code
    item: Columns = ()
    number: str | None = None
    text: str | None = None
    unit: str | None = None
    flag: str | None = None
    ref_low: str | None = None
    ref_high: str | None = None
    fields: Fields = {}
    late: tuple[str, ...] = ()
    links: dict[str, Link] = {}
    unique: Columns = ()
    digits: dict[str, int] = {}
    compat: Override = Override()


class Spans(Model):
    """Encounters by interval, to fill the encounter id that a row lacks (strict policy)."""

    table: str
    start: Time
    end: Time
    encounter: str


class DataUseRule(Model):
    """The tag of the source; `open_sha256`: of the text of `table` that marks an open extract."""

    default: DataUse
    open_table: str = ""
    open_sha256: tuple[str, ...] = ()


class MedsTable(Model):
    """Codes of a foreign MEDS dataset that are one table; the first pattern that matches wins."""

    table: str
    pattern: Regex = ""
    heading: str = ""


class Pair(Model):
    """Codes that begin and end an encounter or a stay (regex on the code)."""

    start: Regex
    end: Regex


class MedsLayout(Model):
    """How a foreign MEDS dataset is read.

    `columns`: contract column → the names it may have there; the first that exists is taken.
    `table_column` names a column whose value is the table; `tables` says the rest by code.
    Encounters and stays that no column tells are made from the pairs of codes.
    """

    tables: tuple[MedsTable, ...]
    table_column: Columns = ()
    columns: dict[str, Columns] = {}
    encounters: Pair | None = None
    stays: tuple[Pair, ...] = ()


def _as_predicate(value: object) -> object:
    return {"code": value} if isinstance(value, str) else value


class Predicate(Model):
    """Measurements that a task's word means here: a regex on the code, and a number if given."""

    code: Regex
    numeric_value: float | None = None


class VersionSign(Model):
    """How a version shows: a column that `table` has, or a value of it. The first sign counts."""

    version: str
    table: str
    column: str
    value: str | None = None


class Dictionary(Model):
    """One source. `predicates`: what tasks call admission, death, ... → measurements here."""

    source: str
    title: str
    versions: tuple[VersionSign, ...] = ()
    licence: str
    data_use: DataUseRule
    modules: dict[str, str] = {}
    ignored: dict[str, str] = {}
    lookups: dict[str, Lookup] = {}
    tables: dict[str, Table] = {}
    compat_order: tuple[str, ...] = ()
    spans: Spans | None = None
    meds: MedsLayout | None = None
    predicates: dict[str, Annotated[Predicate, BeforeValidator(_as_predicate)]] = {}

    @model_validator(mode="after")
    def _known_names(self) -> Dictionary:
        sources = [table.source for table in self.tables.values() if table.source]
        for named in (*self.compat_order, *sources, *([self.spans.table] if self.spans else [])):
            if named not in self.tables:
                raise ValueError(f"no table {named}")
        for name, table in self.tables.items():
            if not table.code.prefix and not table.code.columns:
                raise ValueError(f"table {name}: code says neither prefix nor columns")
            for link, rule in table.links.items():
                if rule.table not in self.tables and rule.table not in self.lookups:
                    raise ValueError(f"table {name}, link {link}: no table or lookup {rule.table}")
            for used in used_columns(table):
                head, dot, column = used.partition(".")
                if dot and column not in (table.links[head].columns if head in table.links else {}):
                    raise ValueError(f"table {name}: {used} is no column of a link of it")
            unknown = set(table.late) - set(table.fields) - {"numeric_value", "text_value"}
            if unknown:
                raise ValueError(f"table {name}: late names no field: {sorted(unknown)}")
        return self

    def source_of(self, table: str) -> str:
        """The table of the source that `table` is made from."""
        return self.tables[table].source or table

    def module_of(self, source_table: str) -> str:
        """The module folder that a table of the source stands in."""
        entry = self.tables.get(source_table) or self.lookups[source_table]
        return entry.module

    def order(self, policy: Policy) -> tuple[str, ...]:
        """Tables by tie-break rank under the policy; those that it skips are left out."""
        if policy == "strict":
            return tuple(self.tables)
        return tuple(name for name in self.compat_order if not self.tables[name].compat.skip)


def used_columns(table: Table) -> Iterator[str]:
    """Every column, of the table's own or `link.column`, that its rules read."""
    for rule in time_rules(table):
        yield from rule.columns()
    single = (
        table.stay,
        table.number,
        table.text,
        table.unit,
        table.flag,
        table.ref_low,
        table.ref_high,
    )
    yield from (name for name in single if name)
    yield from (*table.encounter, *table.code.columns, *table.item, *table.unique)
    for columns in table.fields.values():
        yield from columns
    for link in table.links.values():
        yield from link.by.values()


def time_rules(table: Table) -> Iterator[Time]:
    """The table's rules about time, those of the compat policy too."""
    for rule in (table.time, table.avail, table.end, table.compat.time, table.compat.end):
        if isinstance(rule, Time):
            yield rule


def shipped() -> dict[str, Traversable]:
    """Dictionaries that come with ehrlich, by name."""
    folder = files("ehrlich.charts") / "dictionaries"
    return {
        entry.name.removesuffix(".yaml"): entry
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }


def load_dictionary(name: str) -> Dictionary:
    """A shipped dictionary by name, or the user's file. Raises ConfigError."""
    known = shipped()
    if name in known:
        return load_model(Dictionary, known[name])
    if not Path(name).is_file():
        raise ConfigError(
            "no such dictionary", got=name, expected=f"a file, or one of {', '.join(known)}"
        )
    return load_model(Dictionary, Path(name))
