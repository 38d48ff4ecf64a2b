"""Concepts know nothing of the future: only visible rows speak; what comes later changes none."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mini_charts import HOUR, START, Row, at, measurements, row, scene, source, stay, tasks

from ehrlich.charts.timeline import is_visible
from ehrlich.cohorts.build import cases_of
from ehrlich.evidence.concepts import case_concepts, concepts_of
from ehrlich.evidence.drug_names import ingredients
from ehrlich.evidence.naming import Naming
from ehrlich.evidence.notes import Matcher, mentions_schema

NAMING = Naming.of(source())
END = 60
NAMES = pl.DataFrame({"name": ["edema", "fever"], "concept": ["finding//edema", "finding//fever"]})
MATCHER = Matcher.of(NAMES)
TASK = tasks()["inpatient_mortality"]
TABLES = ["labevents", "prescriptions", "inputevents", "procedureevents", "radiology", "poe"]


@st.composite
def measured(draw: st.DrawFn, first: int = 0, last: int = END - 1) -> Row:
    """Something of the stay, perhaps known or ended only later."""
    table = draw(st.sampled_from(TABLES))
    hour = draw(st.integers(first, last))
    known = draw(st.none() | st.integers(hour, END + 20))
    end = draw(st.none() | st.integers(hour, END + 20))
    return row(
        table, hour * HOUR + 1, draw(st.sampled_from(["Heparin", "Aspirin", "Sodium", "X"])),
        encounter_id=7, numeric_value=draw(st.none() | st.sampled_from([1.0, 5.0])),
        ref_low=2.0, ref_high=4.0,
        text_value=draw(st.sampled_from([None, "Edema.", "No edema. Fever."])),
        known=None if known is None else known * HOUR, end=None if end is None else end * HOUR,
    )  # fmt: skip


def spoken(rows: list[Row]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Cases, their concepts, the measurements."""
    chart = scene([*stay(7, 0, END * HOUR), *rows])
    cases = cases_of(chart, TASK).cases
    concepts = concepts_of(chart.rows, NAMING, matcher=MATCHER)
    found = case_concepts(cases, concepts, rows=chart.rows, task=TASK, source=chart.source)
    return cases, found, chart.rows


def heard(found: pl.DataFrame) -> list[tuple[Any, ...]]:
    """What a case holds; the numbers of events and rows are the file's, and may shift."""
    return found.select("case_id", "time", "concept").sort(pl.all()).rows()


@given(rows=st.lists(measured(), max_size=12))
@settings(max_examples=25)
def test_only_what_could_be_seen_speaks(rows: list[Row]) -> None:
    cases, found, chart = spoken(rows)
    asked = found.join(cases.select("case_id", "prediction_time"), on="case_id")
    placed = asked.join(chart.select("row_id", "avail_time"), on="row_id", how="left")
    assert placed.filter(~is_visible(pl.col("prediction_time"))).is_empty()


@given(rows=st.lists(measured(), max_size=10), data=st.data())
@settings(max_examples=25)
def test_what_becomes_known_later_changes_no_concept(rows: list[Row], data: st.DataObject) -> None:
    cases, before, _ = spoken(rows)
    moment: datetime = cases["prediction_time"][0]
    hour = int((moment - START).total_seconds() // 3600)
    later: list[Row] = []
    for line in rows:
        seen = line["time"] <= moment and (line["avail_time"] or line["time"]) <= moment
        if not seen and data.draw(st.booleans()):
            continue
        if seen and line["end_time"] is not None and line["end_time"] > moment:
            # An end that is not known yet, and an amount that tells it.
            line = line | {"end_time": at((hour + 30) * HOUR)}
            if line["table"] in ("inputevents", "procedureevents"):
                line = line | {"numeric_value": 9.0}
        later.append(line)
    later += data.draw(st.lists(measured(hour + 1), max_size=4))
    _, after, _ = spoken(later)
    assert heard(after) == heard(before)


@given(rows=st.lists(measured(), max_size=10))
@settings(max_examples=20)
def test_concepts_of_rows_apart_are_those_of_all(rows: list[Row]) -> None:
    chart = measurements(rows)
    together = concepts_of(chart, NAMING, matcher=MATCHER)
    apart = [concepts_of(chart[n], NAMING, matcher=MATCHER) for n in range(chart.height)]
    assert pl.concat([together.clear(), *apart]).equals(together)


@given(texts=st.lists(st.text(alphabet="no fever.\n,:-éÄ 1", max_size=40), max_size=6))
@settings(max_examples=80)
def test_any_text_can_be_read_and_offsets_hold(texts: list[str]) -> None:
    notes = pl.DataFrame(
        {"row_id": range(len(texts)), "text": texts}, schema={"row_id": pl.Int64, "text": pl.String}
    )
    found = MATCHER.mentions(notes)
    assert found.schema == pl.Schema(mentions_schema())
    for line in found.to_dicts():
        words = texts[line["row_id"]][line["start"] : line["end"]]
        assert words.lower().removesuffix("s") == line["concept"].partition("//")[2]
    alone = [MATCHER.mentions(notes[n]) for n in range(notes.height)]
    assert pl.concat([found.clear(), *alone]).equals(found)


@given(names=st.lists(st.none() | st.text(alphabet="abc XL(5mg%/-*) iv", max_size=25), max_size=6))
@settings(max_examples=80)
def test_any_name_of_a_drug_is_normalised_once_and_for_all(names: list[str | None]) -> None:
    once = ingredients(pl.Series(names, dtype=pl.String))
    assert once.len() == len(names)
    kept = once.drop_nulls()
    assert kept.str.to_lowercase().equals(kept)
    assert not kept.str.contains(r"^\s|\s$|\s\s").any()
