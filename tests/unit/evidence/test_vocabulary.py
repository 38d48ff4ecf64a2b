"""The vocabulary: codes and names of concepts, the same however subjects are spread over shards."""

from __future__ import annotations

import polars as pl
from tests.mini_charts import Row, measurements, row, source

from ehrlich.base.contracts import concepts_schema
from ehrlich.evidence.concepts import find_concepts
from ehrlich.evidence.naming import Naming
from ehrlich.evidence.vocabulary import Vocabulary


def lab(item: str, itemid: int, value: float = 1.0, subject: int = 1) -> Row:
    return row("labevents", 5, item, code=f"LAB//{itemid}//mg/dL", numeric_value=value,
               ref_low=0.4, ref_high=1.1, subject_id=subject)  # fmt: skip


ROWS = [
    lab("Creatinine", 50912),
    lab("CREATININE", 52546, 3.0),
    lab("Creatinine", 50912, 3.0, subject=2),
    row("diagnoses_icd", 9, "Kidney failure", code="DIAGNOSIS//ICD//10//N179"),
    row("diagnoses_icd", 9, "Renal failure", code="DIAGNOSIS//ICD//10//N179", subject_id=2),
    row("diagnoses_icd", 9, "Renal failure", code="DIAGNOSIS//ICD//10//N179", subject_id=3),
    row("diagnoses_icd", 9, "Fall", code="DIAGNOSIS//ICD//9//E8859"),
    row("diagnoses_icd", 9, "Hypertension", code="DIAGNOSIS//ICD//9//4019"),
    row("procedures_icd", 9, "Tap", code="PROCEDURE//ICD//9//5491"),
    row("measurement", 9, "Sodium", code="LOINC/2951-2"),
]


def vocabulary(rows: list[Row]) -> Vocabulary:
    return Vocabulary.of(find_concepts(measurements(rows), Naming.of(source())))


def line(frame: pl.DataFrame, concept: str) -> dict[str, object]:
    return frame.row(by_predicate=pl.col("concept") == concept, named=True)


def test_each_concept_has_a_line_of_the_contract() -> None:
    frame = vocabulary(ROWS).frame()
    assert frame.schema == pl.Schema(concepts_schema())
    assert frame["concept"].is_sorted()
    assert frame["concept"].is_unique().all()
    assert line(frame, "lab//creatinine") == {
        "concept": "lab//creatinine", "kind": "lab", "name": "creatinine",
        "codes": ["MIMIC:50912", "MIMIC:52546"], "measurements": 3, "subjects": 2,
    }  # fmt: skip
    high = line(frame, "lab//creatinine//high")
    assert (high["name"], high["measurements"], high["subjects"]) == ("creatinine high", 2, 2)


def test_codes_stand_as_their_systems_write_them() -> None:
    frame = vocabulary(ROWS).frame()
    codes = dict(frame.select("concept", "codes").rows())
    assert codes["diagnosis//icd10//n179"] == ["ICD10CM:N17.9"]
    assert codes["diagnosis//icd9//4019"] == ["ICD9CM:401.9"]
    assert codes["diagnosis//icd9//e8859"] == ["ICD9CM:E885.9"]
    assert codes["procedure//icd9//5491"] == ["ICD9PCS:5491"]
    assert codes["item//sodium"] == ["LOINC:2951-2"]


def test_of_several_names_the_most_frequent_is_kept() -> None:
    assert line(vocabulary(ROWS).frame(), "diagnosis//icd10//n179")["name"] == "renal failure"


def test_merged_shards_are_the_same_as_one() -> None:
    apart = [[line for line in ROWS if line["subject_id"] == subject] for subject in (3, 1, 2)]
    merged = Vocabulary.merged(vocabulary(rows) for rows in apart)
    assert merged.frame().equals(vocabulary(ROWS).frame())
    assert Vocabulary.merged([]).frame().is_empty()
