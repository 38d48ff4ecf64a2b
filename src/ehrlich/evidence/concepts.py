"""Measurements → concepts, the words of the thinking graph: once a shard, then case by case."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.charts.timeline import FIELDS
from ehrlich.cohorts.context import context_rows
from ehrlich.cohorts.scene import SUBJECT, Source
from ehrlich.cohorts.task import Task
from ehrlich.evidence.naming import DIRECTIONS, Naming, Rule
from ehrlich.evidence.notes import Matcher

ROW = "_row"
HITS: dict[str, pl.DataType] = {ROW: pl.UInt32(), "_key": pl.UInt32(), "_way": pl.UInt8()}
CARRIED = ("case_id", "part", SUBJECT, "event", "row_id", "time")
SEPARATOR = "//"


class Found(NamedTuple):
    """What one shard's measurements stand for.

    - concepts: see `concepts_of`.
    - entries: concept, name (as a clinician reads it), codes (list), n (measurements): for the
      vocabulary; a concept stands on a line for each of its names.
    """

    concepts: pl.DataFrame
    entries: pl.DataFrame


class Part(NamedTuple):
    """Of one rule: its distinct keys (concept, name, codes), and the rows that hit them."""

    keys: pl.DataFrame
    hits: pl.DataFrame


def concepts_of(
    rows: pl.DataFrame, naming: Naming, *, matcher: Matcher | None = None
) -> pl.DataFrame:
    """Concepts of measurements (contract columns, with `fields`): one line a row and concept.

    Columns: case_id and part where `rows` have them, subject_id, event, row_id, time, concept.
    In order of rows, then of concepts. A value out of range gives two concepts: `lab//x` and
    `lab//x//high`. Texts give concepts only with a `matcher`. Time rule: a concept rests on
    nothing that becomes known later than its measurement, so whoever may see the row may see it.
    Raises DataError without `fields`.
    """
    return find_concepts(rows, naming, matcher=matcher).concepts


def find_concepts(rows: pl.DataFrame, naming: Naming, *, matcher: Matcher | None = None) -> Found:
    """`concepts_of`, and what a vocabulary needs of them."""
    if FIELDS not in rows.columns:
        raise DataError("concepts need the fields of measurements", do="Read with fields=True.")
    numbered = rows.with_row_index(ROW)
    parts: list[Part] = []
    for (table,), frame in numbered.partition_by("table", as_dict=True).items():
        for rule in naming.rules(str(table)):
            if not rule.read:
                parts.append(named_by(frame, rule, table=str(table), naming=naming))
            elif matcher is not None:
                parts.append(_read(frame, rule, matcher))
    return _assembled(rows, parts)


def named_by(frame: pl.DataFrame, rule: Rule, *, table: str, naming: Naming) -> Part:
    """What one rule says of the rows of its table (with `_row`)."""
    keyed = naming.keyed(table, rule)
    if keyed is None or frame.is_empty():
        return _nothing()
    number = [keyed.number.alias("_number")] if rule.direction else []
    given = frame.select(ROW, **keyed.keys)
    if number:
        given = given.with_columns(frame.select(*number, "ref_low", "ref_high", "flag"))
    if rule.called is not None:
        given = given.drop_nulls("_number")
    columns = list(keyed.keys)
    distinct = given.select(columns).unique(maintain_order=True).with_row_index("_source")
    named = naming.named(distinct.rename({"_source": "_key"}), rule).rename({"_key": "_source"})
    named = named.with_row_index("_key")
    placed = given.join(distinct, on=columns, nulls_equal=True)
    hits = placed.join(named.drop("_value", "codes", "concept"), on="_source")
    way = _direction(naming) if rule.direction else pl.lit(0, pl.UInt8)
    return Part(named, hits.select(ROW, "_key", way.alias("_way")))


def _nothing() -> Part:
    schema = {"_key": pl.UInt32(), "_value": pl.String(), "concept": pl.String(),
              "name": pl.String(), "codes": pl.List(pl.String())}  # fmt: skip
    return Part(pl.DataFrame(schema=schema), pl.DataFrame(schema=HITS))


def _direction(naming: Naming) -> pl.Expr:
    """0 none, or the place from 1 in DIRECTIONS: by the row's range, the declared one, the flag."""
    value = pl.col("_number")
    stated = pl.any_horizontal(pl.col("ref_low", "ref_high").is_not_null())
    written = value.is_between("least", "most") | pl.col("least").is_null()
    low = pl.when(stated).then(pl.col("ref_low")).otherwise(pl.col("low"))
    high = pl.when(stated).then(pl.col("ref_high")).otherwise(pl.col("high"))
    flag = pl.col("flag").str.to_lowercase().str.strip_chars()
    spelt = {word: way for way, words in naming.book.flags.items() for word in words}
    codes = {word: DIRECTIONS.index(way) + 1 for word, way in spelt.items()}
    flagged = flag.replace_strict(codes, default=0, return_dtype=pl.UInt8).fill_null(0)
    judged = value.is_not_null() & (low.is_not_null() | high.is_not_null())
    return (
        pl.when(judged & ~(stated | written)).then(pl.lit(0, pl.UInt8))
        .when(judged & (value > high)).then(pl.lit(1, pl.UInt8))
        .when(judged & (value < low)).then(pl.lit(2, pl.UInt8))
        .when(judged).then(pl.lit(0, pl.UInt8))
        .otherwise(flagged)
    )  # fmt: skip


def _read(frame: pl.DataFrame, rule: Rule, matcher: Matcher) -> Part:
    """Findings that a text says of this patient now: not denied, not of the past or of others."""
    texts = frame.select(row_id=pl.col(ROW).cast(pl.Int64), text=pl.col(rule.name)).drop_nulls()
    said = matcher.said_of_patient(texts)
    keys = said.select("concept").unique(maintain_order=True).with_row_index("_key")
    keys = keys.with_columns(
        name=pl.col("concept").str.split_exact(SEPARATOR, 1).struct.field("field_1"),
        codes=pl.lit([], dtype=pl.List(pl.String)),
        _value=pl.lit(None, pl.String),
    )
    hits = said.join(keys.select("concept", "_key"), on="concept")
    chosen = {ROW: pl.col("row_id"), "_key": pl.col("_key"), "_way": pl.lit(0)}
    return Part(keys, hits.select(**chosen).cast(pl.Schema(HITS)))


def _assembled(rows: pl.DataFrame, parts: list[Part]) -> Found:
    """Rows and concepts in order. Large frames hold numbers; strings come last, by their place."""
    keys, hits, first = [], [], 0
    for part in parts:
        offset = pl.col("_key") + pl.lit(first, pl.UInt32)
        keys.append(part.keys.select(offset.alias("_key"), "concept", "name", "codes"))
        hits.append(part.hits.with_columns(offset.alias("_key")))
        first += part.keys.height
    carried = [name for name in CARRIED if name in rows.columns]
    if not parts:
        keys, hits = [_nothing().keys.drop("_value")], [_nothing().hits]
    known, struck = pl.concat(keys), pl.concat(hits)
    counted = struck.group_by("_key", "_way").agg(n=pl.len())
    plain = counted.group_by("_key").agg(pl.col("n").sum(), _way=pl.lit(0, pl.UInt8))
    ways = pl.concat([plain, counted.filter(pl.col("_way") > 0).select(plain.columns)])
    entries = ways.join(known, on="_key").with_columns(
        _with_way("concept", SEPARATOR), _with_way("name", " ")
    )
    words = entries["concept"].unique().sort()
    places = pl.DataFrame({"concept": words}).with_row_index("_place")
    mapped = entries.join(places, on="concept").select("_key", "_way", "_place")
    directed = struck.filter(pl.col("_way") > 0)
    every = pl.concat([struck.with_columns(_way=pl.lit(0, pl.UInt8)), directed])
    placed = every.join(mapped, on=["_key", "_way"]).select(ROW, "_place")
    order = (placed[ROW].cast(pl.UInt64) * (1 << 32) + placed["_place"]).unique().sort()
    row, place = order // (1 << 32), order % (1 << 32)
    concepts = rows.select(carried)[row].with_columns(words.gather(place).alias("concept"))
    return Found(concepts, entries.select("concept", "name", "codes", "n").sort("concept", "name"))


def _with_way(column: str, separator: str) -> pl.Expr:
    ends = {place + 1: separator + way for place, way in enumerate(DIRECTIONS)}
    end = pl.col("_way").replace_strict(ends, default="", return_dtype=pl.String)
    return (pl.col(column) + end).alias(column)


def case_concepts(
    cases: pl.DataFrame,
    shard_concepts: pl.DataFrame,
    *,
    rows: pl.DataFrame,
    task: Task,
    source: Source,
) -> pl.DataFrame:
    """Concepts of every measurement that a case may show; nothing after its prediction_time.

    `rows` are the shard's measurements, `shard_concepts` what `concepts_of` made of them.
    Columns: case_id, subject_id, event, row_id, time, concept; in order of cases, then as
    `context_rows` has the rows, then of concepts. Ask for some thousand cases at a time.
    """
    # What a row says is in its concepts already: the texts need not be carried a case.
    bare = rows.drop(FIELDS, strict=False).with_columns(
        pl.lit(None, pl.String).alias("text_value"),
        pl.lit(None, pl.String).alias("unit"),
        pl.lit(None, pl.String).alias("flag"),
    )
    shown = context_rows(cases, bare, task=task, source=source)
    held = shown.select("case_id", SUBJECT, "event", "row_id", "time")
    said = shard_concepts.select("row_id", "concept")
    return held.join(said, on="row_id", how="inner", maintain_order="left_right")
