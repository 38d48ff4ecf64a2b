"""What the synthetic hospital's textbook planted, as pairs of concepts: the truth to find again.

Spelled as `concepts.yaml` spells the hospital's measurements. Not planted here: symptoms and other
words of notes, and what a hospital does to everybody (standing drugs, routine orders).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from statistics import NormalDist

import polars as pl

from ehrlich.charts.hospital.catalog import Lab, LabFinding, Vital
from ehrlich.charts.hospital.textbook import (
    Condition,
    Procedure,
    Textbook,
    Treatment,
    VitalFinding,
)
from ehrlich.evidence.drug_names import ingredients

ED_NAMES = {
    "temperature": "temperature",
    "heartrate": "heart rate",
    "resprate": "respiratory rate",
    "o2sat": "oxygen saturation",
    "sbp": "systolic blood pressure",
    "dbp": "diastolic blood pressure",
}
BLOOD = "blood"
AT_SEVERITY = 3  # of which the textbook gives the size of a finding
DRUG = "drug//"
LINKS = {
    "condition": pl.String(),
    "target": pl.String(),
    "history": pl.String(),
    "kind": pl.String(),
    "p": pl.Float64(),
    "via": pl.String(),
}
Link = tuple[str, str, float]  # history, kind, p


def planted_links(book: Textbook) -> pl.DataFrame:
    """condition, target, history, kind, p, via: each diagnosis and what the textbook ties to it.

    - target: `diagnosis//icd10//...` and `//icd9//...` of the condition. history: a concept that
      the condition brings (via is null), or one that a condition beside it brings (via: its key).
    - kind: finding, test, organism, treatment, home_drug, procedure; comorbid, risk_factor,
      complication: the other's diagnosis; same: a code of the condition itself.
    - p: about how often the condition brings it, by the textbook: the share that has the finding,
      times the chance that it then leaves the range at the usual severity; the share treated, times
      the chance of that severity; of a test 1; null where there is no share or a via.

    Conditions are beside each other where one names the other as comorbid, risk factor or
    complication, in either direction. Sorted; a pair may stand on several lines.
    """
    own = _frame(
        (condition.key, *link)
        for condition in book.conditions.values()
        for link in _links(book, condition)
    )
    codes = _frame_of_codes(book)
    beside = _beside(book)
    same = codes.select("condition", history="target", kind=pl.lit("same"), p=pl.lit(1.0))
    others = beside.join(codes, left_on="other", right_on="condition")
    diagnoses = others.select("condition", "kind", "p", history="target")
    direct = pl.concat([own, same, diagnoses.select(own.columns)])
    direct = direct.with_columns(via=pl.lit(None, pl.String))
    near = beside.select("condition", "other").unique()
    brought = near.join(own, left_on="other", right_on="condition").rename({"other": "via"})
    brought = brought.with_columns(p=pl.lit(None, pl.Float64))
    pairs = pl.concat([direct, brought.select(direct.columns)]).join(codes, on="condition")
    spelt = pairs.filter(pl.col("history").is_not_null()).select(list(LINKS)).cast(pl.Schema(LINKS))
    return spelt.unique().sort(list(LINKS))


def _frame(rows: Iterator[tuple[str, str, str, float]]) -> pl.DataFrame:
    """condition, history, kind, p; drugs by their ingredient."""
    columns = {"condition": pl.String, "history": pl.String, "kind": pl.String, "p": pl.Float64}
    frame = pl.DataFrame(list(rows), schema=columns, orient="row")
    names = ingredients(frame["history"].str.strip_prefix(DRUG)).alias("_ingredient")
    is_drug = pl.col("history").str.starts_with(DRUG)
    drug = pl.lit(DRUG) + pl.col("_ingredient")
    spelt = pl.when(is_drug).then(drug).otherwise("history").alias("history")
    return frame.with_columns(names).with_columns(spelt).drop("_ingredient")


def _frame_of_codes(book: Textbook) -> pl.DataFrame:
    """condition, target."""
    rows = [
        (condition.key, f"diagnosis//icd{version}//{code.lower()}")
        for condition in book.conditions.values()
        for version, codes in ((10, condition.icd10), (9, condition.icd9))
        for code in codes
    ]
    return pl.DataFrame(rows, schema=["condition", "target"], orient="row").unique()


def _beside(book: Textbook) -> pl.DataFrame:
    """condition, other, kind, p, both ways."""
    rows: list[tuple[str, str, str, float | None]] = []
    for condition in book.conditions.values():
        named: list[tuple[str, str, float | None]] = [
            *((other, "comorbid", p) for other, p in condition.comorbid.items()),
            *((other, "risk_factor", None) for other in condition.risk_factors),
            *((each.condition, "complication", None) for each in condition.complications),
        ]
        for other, kind, p in named:
            rows += [(condition.key, other, kind, p), (other, condition.key, kind, None)]
    columns = {"condition": pl.String, "other": pl.String, "kind": pl.String, "p": pl.Float64}
    return pl.DataFrame(rows, schema=columns, orient="row").unique()


def _links(book: Textbook, condition: Condition) -> Iterator[Link]:
    """What the condition itself brings."""
    seen = condition.findings
    for key, lab in seen.labs.items():
        share = lab.p * _leaves(book.labs[key], lab, condition)
        yield f"{_lab(book, key)}//{lab.direction}", "finding", share
    for key, vital in seen.vitals.items():
        share = vital.p * _leaves(book.vitals[key], vital, condition)
        for name in _vitals(book, key):
            yield f"{name}//{vital.direction}", "finding", share
    for grown in seen.organisms:
        yield f"organism//{book.organisms[grown.organism].name.lower()}", "organism", grown.p
    for test in condition.tests:
        for key in book.labs_of(test):
            yield _lab(book, key), "test", 1.0
    for treatment in condition.treatments:
        kind = "home_drug" if treatment.home else "treatment"
        yield f"{DRUG}{book.drugs[treatment.drug].name}", kind, _given(treatment, condition)
    for key in condition.discharge_drugs:
        yield f"{DRUG}{book.drugs[key].name}", "home_drug", 1.0
    for done in condition.procedures:
        share = _given(done, condition)
        yield f"procedure//icd10//{done.icd10.lower()}", "procedure", share
        yield f"procedure//icd9//{done.icd9.lower()}", "procedure", share
        if done.item:
            yield f"bedside//{book.icu_items[done.item].label.lower()}", "procedure", share


def _lab(book: Textbook, key: str) -> str:
    """The concept of a lab; that of another fluid than blood says so."""
    lab = book.labs[key]
    fluid = lab.fluid.lower()
    return f"lab//{lab.label.lower()}" if fluid == BLOOD else f"lab//{fluid} {lab.label.lower()}"


def _vitals(book: Textbook, key: str) -> Iterator[str]:
    """The concepts of a vital sign, as intensive care and as the ED chart it."""
    vital = book.vitals[key]
    yield f"charted//{vital.label.lower()}"
    if vital.ed_column in ED_NAMES:
        yield f"vital//{ED_NAMES[vital.ed_column]}"


def _leaves(sign: Lab | Vital, finding: LabFinding | VitalFinding, condition: Condition) -> float:
    """The chance that a value leaves its range, the condition being as severe as it usually is."""
    acute = condition.kind == "acute"
    moved = finding.size * (condition.severity.mean / AT_SEVERITY if acute else 1)
    low, high = (sign.ref_low, sign.ref_high) if isinstance(sign, Lab) else (sign.low, sign.high)
    limit = high if finding.direction == "high" else low
    if limit is None:
        return 1.0
    if isinstance(sign, Lab) and sign.log:
        room = log(max(limit, 1e-9) / sign.mean) / sign.sd
    else:
        room = (limit - sign.mean) / sign.sd
    return NormalDist().cdf(moved - (room if finding.direction == "high" else -room))


def _given(what: Treatment | Procedure, condition: Condition) -> float:
    """The share of patients who get it."""
    severity = condition.severity
    if what.from_severity <= 0:
        return what.p
    return what.p * (1 - NormalDist(severity.mean, severity.sd).cdf(what.from_severity))
