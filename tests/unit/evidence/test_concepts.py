"""What measurements stand for, table by table; the concepts of a case; the answers of a case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.mini_charts import Row, measurements, row, scene, source, stay, tasks

from ehrlich.base.errors import ConfigError, DataError
from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.scene import Source
from ehrlich.evidence.concepts import case_concepts, concepts_of
from ehrlich.evidence.naming import Naming
from ehrlich.evidence.notes import Matcher
from ehrlich.evidence.targets import answer_concepts, pairs_of, titles_of


def naming() -> Naming:
    return Naming.of(source())


def fields(table: str, **values: str) -> list[str | None]:
    """The fields of a table, those that are not given null."""
    (names,) = source().tables.filter(pl.col("table") == table)["fields"].to_list()
    assert set(values) <= set(names)
    return [values.get(name) for name in names]


def said(*rows: Row, matcher: Matcher | None = None) -> list[str]:
    return concepts_of(measurements(list(rows)), naming(), matcher=matcher)["concept"].to_list()


def lab(item: str, value: float | None = None, **more: object) -> Row:
    code = {"code": "LAB//50912//mg/dL"}
    return row("labevents", 5, item, numeric_value=value, **(code | more))


@pytest.mark.parametrize(
    ("more", "way"),
    [
        ({"value": 2.1, "ref_low": 0.4, "ref_high": 1.1, "flag": "abnormal"}, "high"),
        ({"value": 0.2, "ref_low": 0.4, "ref_high": 1.1}, "low"),
        ({"value": 0.8, "ref_low": 0.4, "ref_high": 1.1, "flag": None}, None),
        ({"value": 9.0, "ref_high": 1.1}, "high"),
        ({"value": None, "flag": "abnormal"}, "abnormal"),
        ({"value": None, "flag": " H "}, "high"),
        ({"value": None, "flag": "LL"}, "low"),
        ({"value": 3.0}, None),
    ],
)
def test_the_direction_of_a_lab_is_by_its_range_else_by_its_flag(
    more: dict[str, object], way: str | None
) -> None:
    expected = ["lab//creatinine", f"lab//creatinine//{way}"] if way else ["lab//creatinine"]
    assert said(lab(" Creatinine ", **more)) == expected  # type: ignore[arg-type]


def test_a_lab_of_another_fluid_is_another_concept() -> None:
    blood = lab("Glucose", fields=fields("labevents", fluid="Blood"))
    urine = lab("Glucose", fields=fields("labevents", fluid="Urine"))
    named = lab("Opiate Screen, Urine", fields=fields("labevents", fluid="Urine"))
    assert said(blood, urine, named) == [
        "lab//glucose", "lab//urine glucose", "lab//opiate screen, urine",
    ]  # fmt: skip


def test_vital_signs_are_judged_by_the_declared_ranges() -> None:
    signs = fields("vitalsign", temperature="101.5", heartrate="80", o2sat="88", sbp="1200",
                   dbp="none", rhythm="Atrial  Fibrillation")  # fmt: skip
    assert said(row("vitalsign", 5, fields=signs)) == [
        "vital//heart rate", "vital//oxygen saturation", "vital//oxygen saturation//low",
        "vital//rhythm atrial fibrillation", "vital//systolic blood pressure",
        "vital//temperature", "vital//temperature//high",
    ]  # fmt: skip


def test_icu_charting_takes_ranges_by_name() -> None:
    assert said(row("chartevents", 5, "Heart Rate", numeric_value=140.0)) == [
        "charted//heart rate", "charted//heart rate//high",
    ]  # fmt: skip
    assert said(row("chartevents", 5, "Braden Score", numeric_value=140.0)) == [
        "charted//braden score"
    ]


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (row("prescriptions", 5, "Furosemide (Lasix)"), ["drug//furosemide"]),
        (row("prescriptions", 5, "Bag"), []),
        (row("emar", 5, None), []),
        (row("inputevents", 5, "NaCl 0.9%"), ["drug//sodium chloride"]),
        (row("microbiologyevents", 5, "URINE CULTURE", text_value="ESCHERICHIA COLI"),
         ["organism//escherichia coli", "test//urine culture"]),
        (row("microbiologyevents", 5, "URINE CULTURE", text_value="CANCELLED"),
         ["test//urine culture"]),
        (row("diagnoses_icd", 5, "Kidney failure", code="DIAGNOSIS//ICD//10//N179",
             fields=fields("diagnoses_icd", ccs="Renal failure")),
         ["ccs//renal failure", "diagnosis//icd10//n179"]),
        (row("procedures_icd", 5, None, code="PROCEDURE//ICD//9//5491"),
         ["procedure//icd9//5491"]),
        (row("triage", 5, "Chest pain, SOB"),
         ["finding//chest pain", "finding//shortness of breath"]),
        (row("radiology", 5, "CHEST (PA & LAT)\nCT HEAD", text_value="No fever."),
         ["exam//chest (pa & lat)", "exam//ct head"]),
        (row("edstays", 5, "AMBULANCE"), ["admission//ed ambulance"]),
        (row("admissions", 5, "EW EMER.", code="RACE//WHITE"), []),
        (row("drgcodes", 5, "SEPSIS"), []),
        (row("hospital_discharges", 5, "HOME"), []),
        (row("measurement", 5, "Serum  Sodium", code="LOINC/2951-2"), ["item//serum sodium"]),
        (row("others", 5, None, code="STRANGE//CODE//X"), ["item//strange/code/x"]),
    ],
)  # fmt: skip
def test_each_table_gives_its_kinds(measured: Row, expected: list[str]) -> None:
    assert said(measured) == expected


def test_order_is_that_of_rows_then_of_concepts_whatever_carries_them() -> None:
    rows = measurements(
        [lab("Sodium", 150.0, ref_low=133.0, ref_high=145.0), row("poe", 9, "Lab"), lab("Lactate")]
    )
    found = concepts_of(rows, naming())
    assert found.columns == ["subject_id", "event", "row_id", "time", "concept"]
    place = {row_id: n for n, row_id in enumerate(rows["row_id"])}
    order = [
        (place[row_id], concept) for row_id, concept in found.select("row_id", "concept").rows()
    ]
    assert order == sorted(order)
    carried = concepts_of(rows.with_columns(case_id=pl.lit("a"), part=pl.lit("facts")), naming())
    assert carried.columns[:2] == ["case_id", "part"]
    assert carried.drop("case_id", "part").equals(found)


def test_texts_give_findings_only_with_a_matcher_and_not_denied_ones() -> None:
    names = pl.DataFrame({"name": ["edema", "stroke", "fever"]})
    matcher = Matcher.of(names.with_columns(concept="finding//" + pl.col("name")))
    note = row("discharge", 5, "DS", text_value="Edema. Edema. No fever. Mother had stroke.")
    assert said(note) == []
    assert said(note, matcher=matcher) == ["finding//edema"]


def test_without_fields_and_without_rows() -> None:
    with pytest.raises(DataError, match="fields of measurements"):
        concepts_of(measurements([lab("Sodium")]).drop("fields"), naming())
    assert said() == []


def test_a_concept_may_not_rest_on_what_is_known_later() -> None:
    late = source().tables.with_columns(
        late=pl.when(pl.col("table") == "labevents")
        .then(pl.lit(["numeric_value"]))
        .otherwise(pl.col("late"))
    )
    with pytest.raises(ConfigError, match="the lab of labevents would rest on"):
        Naming.of(Source(source().predicates, late, "strict"))


def test_a_misspelt_key_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("silent: []\ntabels: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 2: unknown key 'tabels'.*'tables'"):
        Naming.of(source(), path)


def test_a_case_has_the_concepts_of_what_it_may_show() -> None:
    task = tasks()["inpatient_mortality"]
    rows = [
        *stay(7, 0, 60 * 60),
        lab("Early", 2.0, encounter_id=7),
        lab("Unknown yet", 2.0, encounter_id=7, known=50 * 60),
        row("labevents", 59 * 60, "Late", encounter_id=7),
    ]
    chart = scene(rows)
    cases = cases_of(chart, task).cases
    concepts = concepts_of(chart.rows, naming())
    found = case_concepts(cases, concepts, rows=chart.rows, task=task, source=chart.source)
    assert found.columns == ["case_id", "subject_id", "event", "row_id", "time", "concept"]
    assert set(found["case_id"]) == set(cases["case_id"])
    names = set(found["concept"])
    assert {"lab//early", "admission//urgent"} <= names
    assert not {"lab//late", "lab//unknown yet"} & names


def decision(task: str, *rows: Row) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Cases, their targets by the chart, and by the most frequent meaning."""
    chart = scene([*stay(7, 0, 60 * 60), *rows])
    cases = cases_of(chart, tasks()[task]).cases
    pairs = pairs_of(chart.rows, naming(), task=tasks()[task])
    given = {"task": tasks()[task], "naming": naming()}
    own = answer_concepts(cases, pairs=pairs, **given)  # type: ignore[arg-type]
    usual = answer_concepts(cases, pairs=titles_of([pairs]), **given)  # type: ignore[arg-type]
    return cases, own, usual


def test_a_title_of_two_codes_means_that_of_its_own_encounter() -> None:
    def coded(encounter: int, code: str) -> Row:
        return row("diagnoses_icd", 3600, "Hypertension", code=f"DIAGNOSIS//ICD//{code}",
                   encounter_id=encounter)  # fmt: skip

    other = [
        {**line, "subject_id": subject}
        for subject in (2, 3)
        for line in [*stay(8 + subject, 0, 60 * 60), coded(8 + subject, "9//4019")]
    ]
    cases, own, usual = decision("diagnoses_icd", coded(7, "10//I10"), *other)
    assert cases["answer"].to_list() == [["Hypertension"]] * 3
    by_subject = dict(own.select("subject_id", "target").rows())
    nine, ten = "diagnosis//icd9//4019", "diagnosis//icd10//i10"
    assert by_subject == {1: ten, 2: nine, 3: nine}
    assert usual["target"].to_list() == [nine, nine, nine]


def test_items_of_one_ingredient_are_one_target_and_a_bag_is_none() -> None:
    given = {"encounter_id": 7, "text_value": "Administered"}
    rows = [row("emar", 900, item, **given) for item in ("Heparin", "Heparin Flush", "Bag")]
    cases, own, _ = decision("emar", *rows)
    assert cases["answer"].to_list() == [["Bag", "Heparin", "Heparin Flush"]]
    assert own.columns == ["case_id", "subject_id", "target"]
    assert own["target"].to_list() == ["drug//heparin"]


def test_a_risk_task_has_a_label_where_it_is_known() -> None:
    cases = pl.DataFrame(
        {"case_id": ["a", "b", "c"], "subject_id": [1, 2, 3], "boolean_value": [True, None, False]}
    )
    task = tasks()["inpatient_mortality"]
    pairs = pairs_of(measurements([]), naming(), task=task)
    found = answer_concepts(cases, task=task, naming=naming(), pairs=pairs)
    assert found.select("case_id", "target").rows() == [
        ("a", "label//inpatient_mortality//yes"), ("c", "label//inpatient_mortality//no"),
    ]  # fmt: skip


def test_every_decision_task_has_a_rule_for_its_answers() -> None:
    without = [
        name
        for name, task in tasks().items()
        if task.answer and task.anchor.table != "*"
        and naming().rule_of(str(task.anchor.table), task.answer.column) is None
    ]  # fmt: skip
    assert without == []


def test_a_note_as_the_answer_gives_its_findings() -> None:
    cases = pl.DataFrame(
        {"case_id": ["a"], "subject_id": [1], "anchor_event": [3], "answer": [["Edema, no fever."]]}
    )
    names = pl.DataFrame(
        {"name": ["edema", "fever"], "concept": ["finding//edema", "finding//fever"]}
    )
    task = tasks()["discharge"]
    pairs = pairs_of(measurements([]), naming(), task=task)
    given = {"task": task, "naming": naming(), "pairs": pairs}
    read = answer_concepts(cases, matcher=Matcher.of(names), **given)  # type: ignore[arg-type]
    assert read["target"].to_list() == ["finding//edema"]
    assert answer_concepts(cases, **given).is_empty()  # type: ignore[arg-type]


def test_the_next_event_is_named_by_its_table() -> None:
    cases = pl.DataFrame(
        {"case_id": ["a"], "subject_id": [1], "anchor_event": [3], "answer": [["labevents"]]}
    )
    compat = replace(naming(), source=source("compat"))
    task = tasks()["next_event"]
    found = answer_concepts(
        cases, task=task, naming=compat, pairs=pairs_of(measurements([]), compat, task=task)
    )
    assert found["target"].to_list() == ["event//labevents"]
