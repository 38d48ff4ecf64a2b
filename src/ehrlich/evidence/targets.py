"""Answers of cases → target concepts: what the thinking graph must reach."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from ehrlich.cohorts.scene import SUBJECT
from ehrlich.cohorts.task import Task
from ehrlich.evidence.concepts import ROW, named_by
from ehrlich.evidence.naming import Naming, Rule
from ehrlich.evidence.notes import Matcher

PLACE = "_case"
VALUE = "value"
OWN = "own"


def pairs_of(rows: pl.DataFrame, naming: Naming, *, task: Task) -> pl.DataFrame:
    """Which concept each answer string of the task stands for, in the event that holds it.

    Columns: subject_id, own (its event, or encounter where the task asks once an encounter),
    value (the answer string in lower case), concept; sorted, no duplicates. `rows` as
    `concepts_of` wants them. One title may be of several codes (ICD-9 and ICD-10; glucose in
    blood and urine): here each event says which it meant. Empty where the answers are no items.
    """
    task = task.under(naming.source.policy)
    schema = {SUBJECT: pl.Int64, OWN: pl.Int64, VALUE: pl.String, "concept": pl.String}
    rule = _rule(task, naming)
    if rule is None or rule.read:
        return pl.DataFrame(schema=schema)
    table = str(task.anchor.table)
    held = rows.filter(pl.col("table") == table).with_row_index(ROW)
    part = named_by(held, rule, table=table, naming=naming)
    own = "encounter_id" if task.anchor.once else "event"
    placed = held.select(ROW, SUBJECT, pl.col(own).cast(pl.Int64).alias(OWN))
    said = part.keys.select("_key", "concept", value=pl.col("_value").str.to_lowercase())
    joined = part.hits.select(ROW, "_key").join(said, on="_key").join(placed, on=ROW)
    return joined.select(*schema).drop_nulls([OWN, VALUE]).unique().sort(list(schema))


def titles_of(pairs: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Answer string → the concept that it stands for most often: value, concept, n (subjects).

    From the pairs of all (train) shards; for strings that no chart of the case holds, such as
    candidates. Ties go to the first concept of the alphabet. Sorted by value.
    """
    counted = pl.concat(
        [
            part.group_by(VALUE, "concept").agg(n=pl.col(SUBJECT).n_unique().cast(pl.Int64))
            for part in pairs
        ]
    )
    summed = counted.group_by(VALUE, "concept").agg(pl.col("n").sum())
    ordered = summed.sort(VALUE, "n", "concept", descending=[False, True, False])
    return ordered.unique(VALUE, keep="first", maintain_order=True)


def answer_concepts(
    cases: pl.DataFrame,
    *,
    task: Task,
    naming: Naming,
    pairs: pl.DataFrame,
    matcher: Matcher | None = None,
) -> pl.DataFrame:
    """Target concepts of cases of one task: case_id, subject_id, target; no duplicates.

    In order of cases, then of targets. Decision: each answer item as the concept that it has in
    the chart (`pairs` of `pairs_of`), or most often (`pairs` of `titles_of`); an item that stands
    for nothing, such as an empty bag, gives none. A whole note as the answer gives the findings
    that `matcher` reads in it. Risk: `label//<task>//yes` or `//no`; none where it is not known.
    Targets are the truth: for training, never for a prompt.
    """
    numbered = cases.with_row_index(PLACE)
    task = task.under(naming.source.policy)
    if task.answer is None:
        known = numbered.drop_nulls("boolean_value")
        end = pl.when(pl.col("boolean_value")).then(pl.lit("yes")).otherwise(pl.lit("no"))
        targets = known.select(
            PLACE, "case_id", SUBJECT, target=pl.lit(f"label//{task.task}//") + end
        )
        return targets.drop(PLACE)
    own = "encounter_id" if task.anchor.once else "anchor_event"
    said = numbered.select(
        PLACE, "case_id", SUBJECT, pl.col(own).cast(pl.Int64).alias(OWN), text="answer"
    )
    said = said.explode("text").drop_nulls("text")
    said = said.with_columns(pl.col("text").str.to_lowercase().alias(VALUE))
    rule = _rule(task, naming)
    if task.answer.column == "table":
        targets = said.with_columns(target=pl.lit("event//") + pl.col(VALUE))
    elif rule is not None and rule.read:
        targets = _in_notes(said, matcher)
    else:
        keys = [SUBJECT, OWN, VALUE] if SUBJECT in pairs.columns else [VALUE]
        targets = said.join(pairs.select(*keys, target="concept"), on=keys)
    ordered = targets.select(PLACE, "case_id", SUBJECT, "target").unique().sort(PLACE, "target")
    return ordered.drop(PLACE)


def _rule(task: Task, naming: Naming) -> Rule | None:
    """The rule that names the task's answers."""
    if task.answer is None or task.anchor.table in (None, "*"):
        return None
    return naming.rule_of(str(task.anchor.table), task.answer.column)


def _in_notes(said: pl.DataFrame, matcher: Matcher | None) -> pl.DataFrame:
    if matcher is None:
        return said.clear().with_columns(target=pl.lit(None, pl.String))
    texts = said.select(row_id=pl.col(PLACE).cast(pl.Int64), text="text")
    found = matcher.said_of_patient(texts).select(
        pl.col("row_id").cast(pl.UInt32).alias(PLACE), target="concept"
    )
    return said.join(found, on=PLACE)
