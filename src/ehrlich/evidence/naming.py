"""How measurements are named as concepts (concepts.yaml), bound to the tables of one source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import polars as pl
from pydantic import model_validator

from ehrlich.base.config import Model, load_model
from ehrlich.base.errors import ConfigError
from ehrlich.charts.timeline import FIELDS
from ehrlich.cohorts.scene import Source
from ehrlich.evidence.drug_names import ingredients

DIRECTIONS = ("high", "low", "abnormal")
COLUMNS = ("item", "text_value", "code")
BREAK = "\n"


class Before(Model):
    """A field whose value goes before the name, unless it is one of these (lower case)."""

    field: str
    unless: tuple[str, ...] = ()


class CodeOf(Model):
    """A code of another system: in a field, or the group of a pattern found in the code."""

    system: str
    field: str | None = None
    code: str | None = None

    @model_validator(mode="after")
    def _one(self) -> CodeOf:
        if (self.field is None) == (self.code is None):
            raise ValueError("say either field or code")
        return self


class Icd(Model):
    """The concept is an ICD code: groups of `code` are version and code."""

    code: str
    systems: dict[int, str]
    dot_after: int | None = None


class Rule(Model):
    """One kind of concept that a table's rows give; concepts.yaml explains each key."""

    kind: str
    name: str = "item"
    called: str | None = None
    before: Before | None = None
    prefix: str = ""
    split: str = BREAK
    unless: tuple[str, ...] = ()
    where: str | None = None
    drug: bool = False
    icd: Icd | None = None
    codes: tuple[CodeOf, ...] = ()
    direction: bool = False
    value: str | None = None
    read: bool = False

    def fields(self) -> set[str]:
        """Fields of the table that the rule reads."""
        named = {code.field for code in self.codes} | {self.value}
        if self.before:
            named.add(self.before.field)
        if self.called is None and self.name not in COLUMNS:
            named.add(self.name)
        return {name for name in named if name}

    def columns(self) -> set[str]:
        """Whatever of a measurement may change its concept."""
        number = {"numeric_value"} if self.direction and self.value is None else set()
        return self.fields() | number | ({self.name} if self.called is None else set())


class Range(Model):
    """Usual values; beyond least..most a value is no measurement."""

    low: float | None = None
    high: float | None = None
    least: float
    most: float
    also: tuple[str, ...] = ()


class Book(Model):
    """concepts.yaml."""

    silent: tuple[str, ...]
    tables: dict[str, tuple[Rule, ...]]
    code_systems: dict[str, str]
    ranges: dict[str, Range]
    flags: dict[str, tuple[str, ...]]
    spellings: dict[str, str]

    @model_validator(mode="after")
    def _directions(self) -> Book:
        if unknown := sorted(set(self.flags) - set(DIRECTIONS)):
            raise ValueError(f"flags: no direction {', '.join(unknown)}")
        if both := sorted(set(self.silent) & set(self.tables)):
            raise ValueError(f"both silent and with rules: {', '.join(both)}")
        return self


@cache
def shipped_book() -> Book:
    """The rules that come with the package."""
    return load_model(Book, files("ehrlich.evidence").joinpath("concepts.yaml"))


class Keyed(NamedTuple):
    """Expressions of one rule: what its concepts depend on, apart from directions."""

    keys: dict[str, pl.Expr]
    number: pl.Expr


@dataclass(frozen=True)
class Naming:
    """The rules for one source's tables. Make one with `Naming.of`."""

    book: Book
    source: Source

    @classmethod
    def of(cls, source: Source, book: Path | None = None) -> Naming:
        """Shipped rules, or those of a file. Raises ConfigError where a rule cannot hold.

        A rule may not name a concept by what becomes known later (`late` of tables.parquet),
        since concepts are made once a measurement and not once a case.
        """
        naming = cls(load_model(Book, book) if book else shipped_book(), source)
        late = dict(source.tables.select("table", "late").iter_rows())
        for table, rules in naming.book.tables.items():
            for rule in rules:
                if known_later := rule.columns() & set(late.get(table, ())):
                    raise ConfigError(
                        f"the {rule.kind} of {table} would rest on what is known only later",
                        where=str(book or "concepts.yaml"),
                        got=", ".join(sorted(known_later)),
                    )
        return naming

    def rules(self, table: str) -> tuple[Rule, ...]:
        """The rules of a table; of an unknown one `item//<item>`; of a silent one none."""
        if table in self.book.silent:
            return ()
        own = self.book.tables.get(table)
        if own is not None:
            return own
        systems = self.book.code_systems.items()
        codes = tuple(CodeOf(system=name, code=pattern) for name, pattern in systems)
        return (Rule(kind="item", codes=codes, split=BREAK),)

    def rule_of(self, table: str, column: str) -> Rule | None:
        """The rule by which a table's `column` names concepts: that of the answers of tasks."""
        fits = (rule for rule in self.rules(table) if rule.name == column and not rule.called)
        return next(fits, None)

    def keyed(self, table: str, rule: Rule) -> Keyed | None:
        """The rule's expressions; None where this source's table lacks the named field."""
        name = pl.lit(rule.called) if rule.called is not None else self._column(table, rule.name)
        number = pl.col("numeric_value")
        if rule.value is not None:
            field = self._column(table, rule.value)
            if field is None:
                return None
            number = field.cast(pl.Float32, strict=False)
        if name is None:
            return None
        if table not in self.book.tables:
            name = pl.coalesce(name, pl.col("code"))
        keys = {"_value": name}
        if rule.icd or rule.where or any(code.code for code in rule.codes):
            keys["_code"] = pl.col("code")
        if rule.before:
            before = self._column(table, rule.before.field)
            keys["_before"] = pl.lit(None, pl.String) if before is None else before
        for place, code in enumerate(rule.codes):
            field = self._column(table, code.field) if code.field else None
            if field is not None:
                keys[f"_field{place}"] = field
        return Keyed(keys, number)

    def _column(self, table: str, name: str) -> pl.Expr | None:
        """A column or field of a table's rows."""
        if name in COLUMNS:
            return pl.col(name)
        place = self.source.field_place(table, name)
        return None if place is None else pl.col(FIELDS).list.get(place, null_on_oob=True)

    def named(self, keys: pl.DataFrame, rule: Rule) -> pl.DataFrame:
        """Distinct keys → _key, _value, concept, name, codes, low, high, least, most.

        A value that holds several names stands on several lines; those without a concept are out.
        """
        if rule.where:
            keys = keys.filter(pl.col("_code").str.contains(rule.where))
        said = keys.with_columns(pl.col("_value").str.split(rule.split)).explode("_value")
        said = said.with_columns(pl.col("_value").str.strip_chars())
        given = pl.col("_value")
        if rule.drug:
            said = said.with_columns(_said=given, _value=ingredients(said["_value"]))
            given = pl.col("_said")
        name, concept = self._icd(rule.icd, rule) if rule.icd else self._plain(rule)
        named = said.with_columns(name=name).with_columns(concept=concept, codes=_codes(rule))
        named = named.with_columns(_value=given)
        named = named.filter(pl.col("concept").is_not_null() & (pl.col("name") != ""))
        return named.join(self._ranges, left_on="name", right_on="called", how="left").select(
            "_key", "_value", "concept", "name", "codes", "low", "high", "least", "most"
        )

    def _plain(self, rule: Rule) -> tuple[pl.Expr, pl.Expr]:
        value = pl.col("_value")
        name = value if rule.drug else _clean(value)
        if rule.kind == "finding":
            name = name.replace(self.book.spellings)
        name = pl.when(~name.is_in(list(rule.unless))).then(pl.lit(rule.prefix) + name)
        if rule.before:
            before = _clean(pl.col("_before"))
            counts = before.is_not_null() & ~before.is_in(list(rule.before.unless))
            counts = counts & ~name.str.contains(before, literal=True)
            name = pl.when(counts).then(before + pl.lit(" ") + name).otherwise(name)
        return name, pl.lit(f"{rule.kind}//") + pl.col("name")

    def _icd(self, icd: Icd, rule: Rule) -> tuple[pl.Expr, pl.Expr]:
        version = pl.col("_code").str.extract(icd.code, 1)
        code = pl.col("_code").str.extract(icd.code, 2).str.to_lowercase()
        bare = code.str.replace_all(".", "", literal=True)
        concept = pl.format(f"{rule.kind}//icd{{}}//{{}}", version, bare)
        return _clean(pl.coalesce("_value", code)), concept

    @property
    def _ranges(self) -> pl.DataFrame:
        lines = [
            {"called": name, **span.model_dump(exclude={"also"})}
            for called, span in self.book.ranges.items()
            for name in (called, *span.also)
        ]
        bounds = dict.fromkeys(("low", "high", "least", "most"), pl.Float32)
        return pl.DataFrame(lines, schema={"called": pl.String, **bounds})


def _clean(name: pl.Expr) -> pl.Expr:
    """Lower case, single spaces, and no `//`, which parts the pieces of a concept."""
    single = name.str.to_lowercase().str.replace_all(r"/{2,}", "/").str.replace_all(r"\s+", " ")
    return single.str.strip_chars()


def _codes(rule: Rule) -> pl.Expr:
    """list[str] of `SYSTEM:CODE`."""
    found: list[pl.Expr] = []
    for place, code in enumerate(rule.codes):
        if code.code is not None:
            value = pl.col("_code").str.extract(code.code, 1)
        else:
            value = pl.col(f"^_field{place}$")
        found.append(pl.lit(f"{code.system}:") + value)
    if rule.icd:
        version = pl.col("_code").str.extract(rule.icd.code, 1)
        bare = pl.col("_code").str.extract(rule.icd.code, 2).str.replace_all(".", "", literal=True)
        system = version.cast(pl.Int64).replace_strict(
            rule.icd.systems, default=None, return_dtype=pl.String
        )
        found.append(pl.format("{}:{}", system, _dotted(bare, rule.icd.dot_after)))
    if not found:
        return pl.lit([], dtype=pl.List(pl.String))
    return pl.concat_list(found).list.drop_nulls()


def _dotted(code: pl.Expr, after: int | None) -> pl.Expr:
    """A code with its dot; external causes of ICD-9 (E and digits) have it one place later."""
    if after is None:
        return code
    external = code.str.contains(r"^E\d{4}$")
    place = pl.when(external).then(after + 1).otherwise(after)
    whole = code.str.len_chars() <= place
    return (
        pl.when(whole).then(code).otherwise(code.str.slice(0, place) + "." + code.str.slice(place))
    )
