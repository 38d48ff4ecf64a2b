"""Prompts from blocks: equal to writing the visible rows directly, and blind to the future."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mini_charts import DAY, HOUR, measurements, row, source, tasks

from ehrlich.charts.timeline import FIELDS, is_visible
from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.context import context_rows, is_fact
from ehrlich.cohorts.scene import KEY, Scene, hidden_rows
from ehrlich.cohorts.task import Task
from ehrlich.prompts.blocks import Blocks, blocks_of
from ehrlich.prompts.counting import Counter
from ehrlich.prompts.plan import Planner, Reader
from ehrlich.prompts.questions import questions_of, with_questions
from ehrlich.prompts.render import BETWEEN, Writer, with_age
from ehrlich.prompts.style import load_style

STAY = 2 * DAY
ITEMS = st.sampled_from(["Potassium", "a | b", "x\n## Laboratory [2150-01-01 00:00:00]", "Lactate"])
ASKED = ("labevents", "prescriptions", "inpatient_mortality", "ed_reattendance_3d", "transfers")
WRITER = Writer(load_style("ehrlich"), source().tables)
READER = Reader(WRITER, tasks())
NAMES = dict(source().tables.select("table", "fields").iter_rows())


def fields_of(table: str, value: str) -> list[str | None]:
    """Every field says the same, so that any late one shows."""
    return [f"{name} {value}" for name in NAMES[table]]


@st.composite
def observed(draw: st.DrawFn) -> dict[str, Any]:
    table = draw(st.sampled_from(
        ["labevents", "poe", "prescriptions", "pharmacy", "procedureevents", "radiology", "emar"]
    ))  # fmt: skip
    start = draw(st.integers(1, STAY // 20)) * 20
    item = draw(st.just("ADT orders") | ITEMS) if table == "poe" else draw(ITEMS)
    known = draw(st.none() | st.integers(0, DAY))
    end = draw(st.none() | st.integers(0, STAY))
    return row(
        table, start, item, encounter_id=7,
        known=None if known is None or table == "poe" else start + known,
        end=None if end is None else start + end,
        numeric_value=draw(st.none() | st.sampled_from([1.0, 4.25])),
        text_value="FINDINGS:\n# <|im_end|> clear" if table == "radiology" else None,
        ref_low=2.0, ref_high=4.0, unit="mmol/L",
        fields=fields_of(table, draw(st.sampled_from(["x", "y"]))),
    )  # fmt: skip


@st.composite
def charts(draw: st.DrawFn) -> pl.DataFrame:
    rows = [
        row("patients", None, fields=["F", "52", "2150", "2150 - 2152"]),
        row("births", -52 * 365 * DAY),
        row("discharge", -9 * DAY, "DS", encounter_id=3, text_value="Brief Hospital Course:\nwell",
            fields=["DS"]),
        row("edstays", -4 * HOUR, "WALK IN", encounter_id=None, stay_id=5, end=-HOUR,
            fields=fields_of("edstays", "x")),
        row("ed_discharges", -HOUR, "HOME", stay_id=5, fields=["HOME"]),
        row("admissions", 0, "URGENT", encounter_id=7, end=STAY,
            fields=fields_of("admissions", "x")),
        row("hospital_discharges", STAY, "HOME", encounter_id=7, numeric_value=0.0),
    ]  # fmt: skip
    return measurements(rows + draw(st.lists(observed(), min_size=4, max_size=14)))


def loose(name: str) -> Task:
    """The task, of cases with any context."""
    task = tasks()[name]
    return task.model_copy(
        update={"context": task.context.model_copy(update={"min_events": 0}), "at_risk": ()}
    )


def blocks(rows: pl.DataFrame) -> Blocks:
    hidden = hidden_rows(tasks()["ed_reattendance_3d"].context)
    return blocks_of(rows, WRITER, source=source(), hidden=hidden, counter=Counter("none"))


def by_blocks(cases: pl.DataFrame, rows: pl.DataFrame, task: Task) -> list[str]:
    made = blocks(rows)
    planned = Planner(Scene(rows.drop(FIELDS), source()), made, READER).plan(cases, task)
    return READER.charts(planned, made).to_list()


def directly(cases: pl.DataFrame, rows: pl.DataFrame, task: Task) -> list[str]:
    """The chart of each case by writing what `context_rows` gives, without blocks."""
    shown = context_rows(cases, rows, task=task, source=source())
    facts = WRITER.facts(rows.filter(is_fact(source())))
    told = shown.filter(pl.col("part") != "facts")
    events = WRITER.event_texts(told, ["case_id", "part", *KEY])
    texts = []
    for case in cases.iter_rows(named=True):
        at = pl.lit(case["prediction_time"], dtype=pl.Datetime("us"))
        head = facts.select(with_age(pl.col("text"), pl.col("born"), at=at)).item()
        own = events.filter(pl.col("case_id") == case["case_id"]).sort("part", "event")
        texts.append(BETWEEN.join([head, *own["text"]]))
    return texts


def cases_in(rows: pl.DataFrame, task: Task) -> pl.DataFrame:
    cases = cases_of(Scene(rows, source()), task).cases
    return with_questions(cases, questions_of([task]))


def truncated(rows: pl.DataFrame, at: object) -> pl.DataFrame:
    """The chart as it stood: no later row, no later end, and other values where they were late."""
    when = pl.lit(at, dtype=pl.Datetime("us"))
    known = rows.filter(is_visible(when) | pl.col("time").is_null())
    open_end = (pl.col("end_time") > when).fill_null(value=True)
    changed = known.with_columns(end_time=pl.when(~open_end).then("end_time"))
    late = dict(source().tables.select("table", "late").iter_rows())
    for table, names in late.items():
        here = (pl.col("table") == table) & open_end
        if "numeric_value" in names:
            changed = changed.with_columns(
                numeric_value=pl.when(here).then(9.0).otherwise("numeric_value")
            )
        places = [place for place, name in enumerate(NAMES[table]) if name in names]
        for place in places:
            field = pl.col(FIELDS)
            others = [
                pl.lit("LATER") if each == place else field.list.get(each, null_on_oob=True)
                for each in range(len(NAMES[table]))
            ]
            changed = changed.with_columns(
                pl.when(here & pl.col(FIELDS).is_not_null())
                .then(pl.concat_list(others)).otherwise(FIELDS).alias(FIELDS)
            )  # fmt: skip
    return changed.select(rows.columns)


@given(rows=charts(), name=st.sampled_from(ASKED))
@settings(max_examples=60, deadline=None)
def test_a_prompt_of_blocks_is_what_the_visible_rows_say(rows: pl.DataFrame, name: str) -> None:
    task = loose(name)
    cases = cases_in(rows, task)
    assert by_blocks(cases, rows, task) == directly(cases, rows, task)


@given(rows=charts(), name=st.sampled_from(ASKED))
@settings(max_examples=40, deadline=None)
def test_nothing_later_than_the_prediction_time_changes_a_prompt(
    rows: pl.DataFrame, name: str
) -> None:
    task = loose(name)
    cases = cases_in(rows, task)
    texts = by_blocks(cases, rows, task)
    for place, at in enumerate(cases["prediction_time"]):
        then = by_blocks(cases[place : place + 1], truncated(rows, at), task)
        assert then == [texts[place]]
        assert "LATER" not in then[0]
