"""Events as Markdown, the facts, and whole prompts as they were read by eye."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from tests.mini_charts import DAY, HOUR, Row, measurements, row, source
from tests.mini_prompts import full_chart, lab, loose, planned, reader, style_of, told, writer

from ehrlich.cohorts.context import is_fact
from ehrlich.cohorts.scene import KEY
from ehrlich.cohorts.task import Policy
from ehrlich.prompts.cells import AGE
from ehrlich.prompts.chat_policy import load_policy
from ehrlich.prompts.render import Writer, with_age
from ehrlich.prompts.rows import prompt_rows
from ehrlich.prompts.style import load_style

GOLDEN = Path(__file__).parents[2] / "golden" / "prompts"


def events(*rows: Row, policy: Policy = "strict") -> list[str]:
    """The events as text, in order."""
    return writer(policy).event_texts(measurements(list(rows), policy), KEY)["text"].to_list()


def facts(*rows: Row, policy: Policy = "strict") -> pl.DataFrame:
    frame = measurements(list(rows), policy)
    return writer(policy).facts(frame.filter(is_fact(source(policy))))


def last_content(name: str, policy: Policy) -> str:
    """Chart and question of the last case of the full chart."""
    _, plan, blocks = planned(full_chart(policy), loose(name, policy), policy)
    found = prompt_rows(
        plan, blocks, reader=reader(policy), policy=load_policy("plain"), thinking=False
    )
    return str(found["content"][-1])


@pytest.mark.parametrize("policy", ["strict", "compat"])
@pytest.mark.parametrize("name", ["labevents", "readmission_30d"])
def test_a_prompt_is_as_it_was_read_by_eye(name: str, policy: Policy) -> None:
    golden = GOLDEN / f"{style_of(policy)}_{name}.md"
    assert last_content(name, policy) + "\n" == golden.read_text(encoding="utf-8")


# --- events -----------------------------------------------------------------------------------


def test_one_measurement_becomes_a_list_and_several_a_table() -> None:
    one = events(lab(HOUR, "Lactate", 2.2))
    assert one == ["## Laboratory [2150-01-01 01:00:00]\n- Test: Lactate\n- Value: 2.2"]
    two = events(lab(HOUR, "Lactate", 2.2), lab(HOUR, "Sodium", 141.0, unit="mEq/L"))
    assert two == [
        "## Laboratory [2150-01-01 01:00:00]\n"
        "| Test | Fluid | Value | Reference | Comment |\n"
        "| ------ | ------ | ------ | ------ | ------ |\n"
        "| Lactate |  | 2.2 |  |  |\n"
        "| Sodium |  | 141 mEq/L |  |  |"
    ]


def test_the_heading_has_the_time_of_the_first_row() -> None:
    frame = measurements([lab(HOUR, "Lactate", 2.2), lab(HOUR + 2, "Sodium", 141.0)])
    together = frame.with_columns(event=pl.lit(0, dtype=pl.UInt32))
    (text,) = writer().event_texts(together, KEY)["text"]
    assert text.startswith("## Laboratory [2150-01-01 01:00:00]\n| Test")


def test_notes_of_one_event_are_lists_one_after_another_never_a_table() -> None:
    notes = [
        told("radiology", HOUR, text_value=said, by_name={"exam_name": name}, encounter_id=7)
        for name, said in (("CHEST", "clear"), ("ABDOMEN", "gas | free"))
    ]
    assert events(*notes) == [
        "## Radiology report [2150-01-01 01:00:00]\n- Exam: CHEST\n\nclear\n\n"
        "- Exam: ABDOMEN\n\ngas | free"
    ]


def test_an_event_of_which_nothing_is_known_is_its_heading() -> None:
    assert events(told("omr", HOUR)) == ["## Outpatient measurement [2150-01-01 01:00:00]"]
    assert events(
        told("hospital_discharges", HOUR, "HOME", by_name={"discharge_location": "DIED"})
    ) == ["## Discharge [2150-01-01 01:00:00]"]


def test_released_charts_break_the_line_after_a_heading_of_nothing() -> None:
    assert events(told("icustays", HOUR, policy="compat"), policy="compat") == [
        "## ICUstays [2150-01-01 01:00:00]\n"
    ]


def test_a_table_that_the_style_skips_is_not_shown() -> None:
    rows = [told("drgcodes", HOUR, "X", policy="compat"), lab(2 * HOUR, "Sodium", policy="compat")]
    assert [text[:24] for text in events(*rows, policy="compat")] == ["## Labotary Test Events "]
    frame = measurements(rows, "compat")
    assert writer("compat").row_texts(frame, form="list").is_null().to_list() == [True, False]


def test_rows_of_no_shown_table_have_no_text() -> None:
    frame = measurements([told("drgcodes", HOUR, "X", policy="compat")], "compat")
    assert writer("compat").row_texts(frame, form="line").to_list() == [None]
    assert writer().row_texts(frame.clear(), form="line").to_list() == []
    assert writer().event_texts(frame.clear(), KEY).is_empty()


def test_a_table_without_title_has_the_heading_of_the_dictionary() -> None:
    titles = dict(writer().shown.select("table", "title").iter_rows())
    headings = dict(source().tables.select("table", "heading").iter_rows())
    assert titles == {table: headings[table] for table in titles}
    assert dict(writer("compat").shown.select("table", "title").iter_rows())["labevents"] == (
        "Labotary Test Events"
    )


def test_events_come_in_the_order_of_their_first_rows_and_keep_their_keys() -> None:
    frame = measurements([
        lab(HOUR, "Sodium", 1.0), told("radiology", 2 * HOUR, text_value="clear"),
        lab(3 * HOUR, "Sodium", 1.0), lab(3 * HOUR, "Lactate", 1.0),
    ])  # fmt: skip
    found = writer().event_texts(frame, KEY)
    assert found.columns == [*KEY, "table", "text"]
    assert found["event"].to_list() == sorted(set(frame["event"]))
    assert found["table"].to_list() == ["labevents", "radiology", "labevents"]


# --- facts and age ----------------------------------------------------------------------------


def test_facts_begin_with_the_age_and_hold_no_more_than_the_style_says() -> None:
    found = facts(
        told("patients", None, by_name={"gender": "F", "anchor_age": "52"}), row("births", -DAY),
        lab(HOUR, "Sodium", 1.0),
    )  # fmt: skip
    assert found["text"].to_list() == [f"## Patient\n- Age: {AGE}\n- Sex: F"]
    assert found["born"].to_list() == [datetime(2149, 12, 31)]


def test_released_facts_have_none_for_a_time_and_the_age_of_the_anchor() -> None:
    static = told("patients", None, policy="compat", by_name={"gender": "M", "anchor_age": "60"})
    found = facts(static, policy="compat")
    assert found["text"].to_list() == [
        "## Patient Demographics [None]\n- Anchor_Age: 60\n- Gender: M"
    ]


def test_facts_of_which_nothing_is_known_are_a_heading() -> None:
    assert facts(told("patients", None))["text"].to_list() == ["## Patient"]
    assert facts(told("patients", None, by_name={"gender": "___"}))["born"].to_list() == [None]


@pytest.mark.parametrize(
    ("born", "at", "age"),
    [
        (datetime(2100, 3, 5), datetime(2150, 3, 4, 23, 59), "49"),
        (datetime(2100, 3, 5), datetime(2150, 3, 5), "50"),
        (datetime(2097, 12, 31), datetime(2150, 1, 1), "52"),
        (datetime(2097, 12, 31), datetime(2150, 12, 30), "52"),
        (datetime(2097, 12, 31), datetime(2150, 12, 31), "53"),
        (datetime(2100, 2, 28), datetime(2150, 10, 1), "50"),
        (datetime(2100, 10, 1), datetime(2150, 2, 28), "49"),
        (datetime(2104, 2, 29), datetime(2150, 2, 28), "45"),
        (datetime(2104, 2, 29), datetime(2150, 3, 1), "46"),
        (datetime(2150, 1, 1), datetime(2150, 1, 2), "0"),
        (datetime(2060, 7, 1), datetime(2150, 6, 30), "89"),
        (datetime(2060, 7, 1), datetime(2150, 7, 1), "over 89"),
        (datetime(1850, 1, 1), datetime(2150, 1, 1), "over 89"),
        (None, datetime(2150, 1, 1), "unknown"),
    ],
)
def test_the_age_is_in_whole_years_and_hidden_over_89(
    born: datetime | None, at: datetime, age: str
) -> None:
    times = {"born": [born], "at": [at]}
    frame = pl.DataFrame(times, schema={"born": pl.Datetime("us"), "at": pl.Datetime("us")})
    said = frame.select(with_age(pl.lit(f"- Age: {AGE}"), pl.col("born"), at=pl.col("at"))).item()
    assert said == f"- Age: {age}"


@pytest.mark.parametrize("month", range(1, 13))
def test_the_age_changes_on_the_birthday_in_every_month(month: int) -> None:
    born = datetime(2100, month, 15)
    for day in range(1, 13):
        at = datetime(2150, day, 15)
        said = pl.select(with_age(pl.lit(AGE), pl.lit(born), at=pl.lit(at))).item()
        assert said == str(50 - (day < month))


def test_facts_without_birth_say_no_age() -> None:
    text = facts(told("patients", None, by_name={"gender": "F"}))["text"][0]
    assert text == "## Patient\n- Sex: F"


def test_a_writer_of_foreign_tables_shows_them_as_others() -> None:
    tables = source().tables.with_columns(table=pl.lit("lab_") + pl.col("table"))
    by = Writer(load_style("ehrlich"), tables)
    frame = measurements([lab(HOUR, "Sodium", 141.0, unit="mEq/L", comments="ok")]).with_columns(
        table=pl.lit("lab_labevents")
    )
    (text,) = by.event_texts(frame, KEY)["text"]
    assert text == (
        "## Laboratory [2150-01-01 01:00:00]\n- Item: Sodium\n- Value: 141 mEq/L\n- Comments: ok"
    )
