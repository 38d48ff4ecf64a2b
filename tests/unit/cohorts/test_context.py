"""What a case may show, row by row."""

from __future__ import annotations

import polars as pl
from tests.mini_charts import DAY, HOUR, Row, ed, fillers, icu, row, scene, stay, tasks

from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.context import context_rows
from ehrlich.cohorts.task import Policy, Task


def shown(rows: list[Row], task: Task, policy: Policy = "strict", nth: int = -1) -> pl.DataFrame:
    """The context of the nth case."""
    chart = scene(rows, policy)
    cases = cases_of(chart, task).cases[nth]
    return context_rows(cases, chart.rows, task=task, source=chart.source)


def items(found: pl.DataFrame, part: str) -> list[str | None]:
    return found.filter(pl.col("part") == part)["item"].to_list()


def lab(minute: float, item: str, **more: object) -> Row:
    return row("labevents", minute, item, encounter_id=7, **more)


def test_parts_come_in_the_order_of_a_prompt() -> None:
    note = {"encounter_id": 6, "text_value": "Well.", "known": -DAY}
    rows = [
        row("patients", None), row("births", -40 * 365 * DAY), row("discharge", -DAY, "DS", **note),
        *stay(7, 0, 5 * DAY), lab(2 * DAY, "Sodium"), *fillers(7, 2 * DAY - 9, 2 * DAY - 5),
    ]  # fmt: skip
    found = shown(rows, tasks()["labevents"])
    assert found["part"].unique(maintain_order=True).to_list() == [
        "facts", "last_discharge", "admission", "context",
    ]  # fmt: skip
    assert found.filter(pl.col("part") == "facts")["table"].to_list() == ["patients", "births"]
    assert items(found, "admission") == ["URGENT"]
    assert items(found, "context") == ["filler"] * 3


def test_what_was_not_known_is_not_shown_and_late_values_are_masked() -> None:
    rows = [
        *fillers(7, 0, 10, 20), lab(30, "Sodium", known=35), lab(40, "Culture", known=3 * DAY),
        row("procedureevents", 50, "Line", encounter_id=7, end=DAY, numeric_value=1390.0,
            fields=["1390", "arm", None, "FinishedRunning"]),
        lab(130, "Lactate"),
    ]  # fmt: skip
    found = shown(rows, tasks()["labevents"])
    assert items(found, "context") == ["filler", "filler", "filler", "Sodium", "Line"]
    line = found.row(-1, named=True)
    assert (line["numeric_value"], line["end_time"]) == (None, None)
    assert line["fields"] == [None, "arm", None, None]


def test_an_event_that_began_before_the_window_is_out_with_all_its_rows() -> None:
    rows = [lab(0, "Glucose"), lab(20, "Sodium"), *fillers(7, HOUR, 2 * HOUR, 3 * HOUR)]
    rows += [lab(DAY + 10, "Lactate")]
    assert items(shown(rows, tasks()["labevents"]), "context") == ["filler"] * 3


def test_hidden_tables_are_not_shown() -> None:
    rows = [*fillers(7, 0, 10, 20), row("pharmacy", 25, "Aspirin", encounter_id=7)]
    rows += [row("prescriptions", 30, "Aspirin", encounter_id=7)]
    assert items(shown(rows, tasks()["prescriptions"]), "context") == ["filler"] * 3


def test_an_ed_context_shows_nothing_that_tells_of_admission() -> None:
    rows = [*ed(1, 0, 6 * HOUR, encounter=7), *stay(7, 2 * HOUR, 3 * DAY)]
    rows += [row("transfers", 2 * HOUR, "Ward", encounter_id=7)]
    rows += [row("labevents", HOUR, "Sodium", known=HOUR + 30)]
    found = shown(rows, tasks()["ed_hospitalization"])
    tables = set(found["table"])
    assert tables <= {"edstays", "triage", "vitalsign", "medrecon", "labevents"}
    assert "labevents" in tables


def test_a_context_of_an_episode_begins_with_it() -> None:
    rows = [*stay(7, 0, 9 * DAY), *icu(7, 70, DAY, 5 * DAY), *fillers(7, DAY - 1)]
    found = shown(rows, tasks()["icu_mortality_7d"])
    context = found.filter(pl.col("part") == "context")
    assert context["table"].to_list()[0] == "icustays"
    assert items(found, "admission") == ["URGENT"]


def test_each_case_shows_its_own_rows_once() -> None:
    rows = [*stay(7, 0, 4 * DAY), lab(60, "Sodium"), lab(200, "Glucose"), lab(300, "Lactate")]
    chart = scene(rows)
    cases = cases_of(chart, tasks()["labevents"]).cases
    found = context_rows(cases, chart.rows, task=tasks()["labevents"], source=chart.source)
    assert found["case_id"].unique(maintain_order=True).to_list() == cases["case_id"].to_list()
    assert not found.select("case_id", "row_id").is_duplicated().any()
    counts = found.filter(pl.col("part") == "context").group_by("case_id", maintain_order=True)
    inside = counts.agg(pl.col("event").n_unique())["event"].to_list()
    # The admission counts too, but stands apart.
    assert [events + 1 for events in inside] == cases["context_events"].to_list()


def test_as_released_everything_between_is_shown_but_other_admissions(
    relaxed: dict[str, Task],
) -> None:
    rows = [
        row("admissions", 0, "URGENT", encounter_id=7), *fillers(7, 10),
        row("admissions", 15, "ELECTIVE", encounter_id=8), *fillers(8, 20),
        lab(25, "Culture", known=3 * DAY), *fillers(7, 27), lab(30, "Sodium"),
    ]  # fmt: skip
    found = shown(rows, relaxed["labevents"], "compat")
    assert items(found, "admission") == ["URGENT"]
    assert items(found, "context") == ["filler", "filler", "Culture", "filler"]


def test_as_released_the_readmission_s_summary_is_shown(relaxed: dict[str, Task]) -> None:
    rows = [row("admissions", 0, "URGENT", encounter_id=7), *fillers(7, 10, 20)]
    rows += [row("discharge", DAY, "DS", encounter_id=7, text_value="Went home.")]
    rows[2]["time"] = rows[-1]["time"].replace(day=1, hour=23)
    found = shown(rows, relaxed["readmission_30d"], "compat")
    assert found.filter(pl.col("part") == "context")["table"].to_list()[-1] == "discharge"


def test_no_case_shows_nothing() -> None:
    chart = scene([*fillers(7, 0, 10, 20), lab(30, "Sodium")])
    cases = cases_of(chart, tasks()["labevents"]).cases.clear()
    assert context_rows(
        cases, chart.rows, task=tasks()["labevents"], source=chart.source
    ).is_empty()
