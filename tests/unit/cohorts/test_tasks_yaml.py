"""The tasks and suites that come with ehrlich: complete, explained, and true to their examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ehrlich.charts.readers.dictionary import load_dictionary
from ehrlich.cohorts.examples import problems_of_examples
from ehrlich.cohorts.task import Context, Label, Task, load_suite, load_tasks

TASKS = load_tasks()
DICTIONARY = load_dictionary("mimic_iv")

DECISIONS = [
    "admissions", "transfers", "services", "omr", "labevents", "microbiologyevents",
    "radiology", "diagnoses_icd", "diagnoses_ccs", "diagnosis", "diagnosis_ccs",
    "procedures_icd", "procedures_ccs", "poe", "emar", "prescriptions", "prescriptions_atc",
    "medrecon", "medrecon_atc", "ingredientevents", "datetimeevents", "procedureevents",
    "inputevents", "outputevents",
]  # fmt: skip
RISKS = [
    "ed_hospitalization", "ed_inpatient_mortality", "ed_icu_transfer_12h",
    "ed_critical_outcomes", "ed_reattendance_3d", "inpatient_mortality", "length_of_stay_3d",
    "length_of_stay_7d", "icu_mortality_1d", "icu_mortality_2d", "icu_mortality_3d",
    "icu_mortality_7d", "icu_mortality_14d", "icu_stay_7d", "icu_stay_14d", "icu_readmission",
    "readmission_30d", "readmission_60d",
]  # fmt: skip
RELEASED_BESIDE = ["chartevents", "pyxis", "next_event"]
RELEASED_RISKS = [
    "ED_Hospitalization", "ED_Inpatient_Mortality", "ED_ICU_Tranfer_12hour",
    "ED_Critical_Outcomes", "ED_Reattendance_3day", "Inpatient_Mortality", "LengthOfStay_3day",
    "LengthOfStay_7day", "ICU_Mortality_1day", "ICU_Mortality_2day", "ICU_Mortality_3day",
    "ICU_Mortality_7day", "ICU_Mortality_14day", "ICU_Stay_7day", "ICU_Stay_14day",
    "ICU_Readmission", "Readmission_30day", "Readmission_60day",
]  # fmt: skip
LOW_CAP = {
    "services", "omr", "ingredientevents", "datetimeevents", "procedureevents", "inputevents",
    "outputevents", "icu_mortality_1d", "icu_mortality_2d", "icu_mortality_3d", "icu_mortality_14d",
}  # fmt: skip
HIGH_CAP = {
    "diagnoses_icd", "diagnoses_ccs", "diagnosis_ccs", "procedures_icd", "procedures_ccs",
    "prescriptions", "prescriptions_atc", "medrecon", "medrecon_atc", "chartevents", "pyxis",
}  # fmt: skip


def each_task() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def contexts(task: Task) -> Iterator[Context]:
    yield task.context
    if task.compat.context is not None:
        yield task.compat.context


def test_all_tasks_are_there() -> None:
    assert (len(DECISIONS), len(RISKS)) == (24, 18)
    assert set(TASKS) == {*DECISIONS, *RISKS, *RELEASED_BESIDE, "discharge"}


@each_task()
def test_a_task_says_what_it_is_and_what_it_is_not(task: Task) -> None:
    assert task.is_not.startswith("Not ")
    assert "EHR-R1" in task.citation
    assert task.question.endswith(("?", "."))
    assert len(task.description) > 40
    for text in (task.title, task.description, task.is_not, task.question):
        assert text == text.strip()


@each_task()
def test_tables_and_fields_are_those_of_the_dictionary(task: Task) -> None:
    known = {*DICTIONARY.tables, "*", None}
    assert task.anchor.table in known
    for context in contexts(task):
        assert {*context.hide, *context.hide_items} <= known
    if task.answer is not None and task.answer.column not in ("item", "text_value", "table"):
        assert task.answer.column in DICTIONARY.tables[task.anchor.table or ""].fields


@each_task()
def test_the_examples_give_the_cases_that_they_state(task: Task) -> None:
    assert task.examples
    assert list(problems_of_examples(task)) == []


@each_task()
def test_the_examples_show_two_answers(task: Task) -> None:
    stated = {(case.label, case.answer) for example in task.examples for case in example.cases}
    assert len(stated) > 1
    if task.kind == "risk":
        assert {label for label, _ in stated} == {True, False}


@each_task()
def test_the_examples_are_written_in_order_of_time(task: Task) -> None:
    for example in task.examples:
        times = [row.time for row in example.chart if row.time is not None]
        assert times == sorted(times), example.title


@pytest.mark.parametrize("name", RISKS)
def test_a_risk_is_asked_of_those_still_at_risk(name: str) -> None:
    task = TASKS[name]
    assert task.predict is not None
    needed = "in_episode" if task.predict.at == "start" else "left_alive"
    assert needed in task.at_risk
    if name.startswith("ed_"):
        hidden = {*task.context.hide, *task.context.hide_items}
        assert {"admissions", "transfers", "services", "poe"} <= hidden
        assert not task.context.same_encounter


@pytest.mark.parametrize("name", [*DECISIONS, *RELEASED_BESIDE, *RISKS])
def test_the_released_code_s_limits_are_stated(name: str) -> None:
    released = TASKS[name].under("compat").context
    assert (released.min_events, released.max_events) == (11, 99)
    assert released.max_subject_events == 1200
    coded = name.startswith(("diagnoses_", "procedures_"))
    assert released.admission_inside == coded
    assert released.forward == (name in RISKS and not name.startswith("readmission"))


def test_the_released_names_are_kept_even_misspelt() -> None:
    assert [TASKS[name].compat.name for name in RISKS] == RELEASED_RISKS
    for name in (*DECISIONS, *RELEASED_BESIDE):
        assert TASKS[name].compat.name == name


def test_only_compat_knows_the_rules_of_the_released_code() -> None:
    def rules(label: Label | None) -> Iterator[Label]:
        if label is not None:
            yield label
            for part in label.any_of:
                yield from rules(part)

    for name in RISKS:
        for rule in rules(TASKS[name].label):
            assert not rule.dead_by_midnight_of_end
            assert rule.dies_within_h_of_context is None
        assert not TASKS[name].context.forward


def test_training_cases_are_capped_as_in_the_paper() -> None:
    for name in (*DECISIONS, *RELEASED_BESIDE, *RISKS):
        usual = 40_000 if name in RISKS else 100_000
        cap = 20_000 if name in LOW_CAP else 200_000 if name in HIGH_CAP else usual
        assert TASKS[name].cap_train == cap, name
    assert TASKS["discharge"].cap_train is None


def test_the_suites_are_complete() -> None:
    bench, compat, whole = (load_suite(n) for n in ("ehr_bench", "ehr_bench_compat", "all"))
    assert bench.policy == whole.policy == "strict"
    assert compat.policy == "compat"
    assert bench.tasks == bench.headline == (*DECISIONS, *RISKS)
    assert compat.tasks == (*DECISIONS, *RELEASED_BESIDE, *RISKS)
    assert set(whole.tasks) == set(TASKS)
    assert len(whole.tasks) == 46
    assert compat.headline == whole.headline == bench.headline
