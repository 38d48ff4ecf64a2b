"""A task in words: true to its file, and readable by someone who never saw one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ehrlich.cohorts.describe import (
    GENERATED,
    docs_markdown,
    lines_of,
    list_text,
    show_text,
    table_name,
)
from ehrlich.cohorts.task import Context, Task, load_suite, load_tasks

TASKS = load_tasks()
SUITE = load_suite("all")
ORDERED = {name: TASKS[name] for name in SUITE.tasks}
PAGE = Path(__file__).parents[3] / "docs" / "tasks.md"


def said(name: str) -> dict[str, str]:
    return {line.heading: line.text for line in lines_of(TASKS[name])}


def test_the_page_is_what_the_files_say() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == docs_markdown(ORDERED, SUITE.headline), "run `ehrlich tasks docs`"
    assert GENERATED in written.splitlines()[2]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_each_task_answers_every_question_of_a_reader(task: Task) -> None:
    text = show_text(task)
    for heading in (
        "Question", "Asked of", "Asked when", "In view", "Hidden", "Answer", "Score",
        "What it is not", "As released",
    ):  # fmt: skip
        assert f"{heading}:" in text
    assert max(map(len, text.splitlines())) <= 90
    prose = re.sub(r"\(\w+\)", "", " ".join(line.text for line in lines_of(task)[1:6]))
    assert not re.search(r"\b(None|True|False|_h\b|hours=)", prose)
    assert not re.search(r"\w_\w", prose), "a name of the code in prose"


def test_a_risk_reads_as_it_is_defined() -> None:
    text = said("inpatient_mortality")
    assert text["Asked when"] == "24 hours after admission"
    assert "still in hospital and alive" in text["Asked of"]
    assert text["Answer"] == "yes if the patient dies in this hospital stay; else no"
    assert "called Inpatient_Mortality" in text["As released"]
    assert "date of death no later than the date of discharge" in text["As released"]


def test_an_emergency_task_says_what_it_hides() -> None:
    text = said("ed_hospitalization")
    assert "just before departure from the emergency department" in text["Asked when"]
    assert "the admission" not in text["In view"]
    assert "order (poe)" in text["Hidden"]
    assert "hides nothing" in text["As released"]


def test_a_decision_reads_as_it_is_defined() -> None:
    text = said("diagnoses_ccs")
    assert text["Asked of"] == "every hospital stay with diagnoses (diagnoses_icd), once"
    assert text["Answer"].startswith("the CCS category of each item in the stay")
    assert "only where the admission lies inside the window" in text["As released"]
    assert "fewer than 10 items" in said("chartevents")["Asked of"]
    assert "with one item" in said("discharge")["Asked of"]
    assert said("discharge")["Answer"] == "the text of discharge summary (discharge)"


def test_hidden_items_and_user_tables_are_named() -> None:
    task = TASKS["labevents"]
    hiding = Context(hide=("my_table",), hide_items={"poe": ("Lab", "ADT orders")})
    lines = lines_of(task.model_copy(update={"context": hiding}))
    hidden = next(line.text for line in lines if line.heading == "Hidden")
    assert "my_table and Lab and ADT orders among order (poe)" in hidden
    assert table_name("labevents") == "laboratory (labevents)"
    assert table_name("my_table") == "my_table"


def test_a_task_of_the_user_is_not_said_to_be_released() -> None:
    own = TASKS["labevents"].model_copy(update={"compat": type(TASKS["labevents"].compat)()})
    lines = {line.heading: line.text for line in lines_of(own)}
    assert lines["As released"] == "not among the released tasks"


def test_the_list_marks_what_the_mean_counts() -> None:
    lines = list_text(ORDERED, SUITE.headline).splitlines()
    assert lines[0] == "decision tasks (28): the answer is a set of items"
    assert any(line.startswith("  * labevents ") for line in lines)
    assert any(line.startswith("    chartevents ") for line in lines)
    assert sum(line.startswith("  * ") for line in lines) == 42


def test_whom_the_released_code_asks_is_said() -> None:
    assert "also of those who had died or left" in said("icu_stay_7d")["As released"]
    stay = said("length_of_stay_3d")["As released"]
    assert "asked of those who are still in hospital at the last event in view" in stay
