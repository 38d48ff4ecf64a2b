"""discharge, discharge_detail: summaries that say, in sections, what the tables say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Bools, Floats, Ints
from ehrlich.charts.hospital.course import ICU
from ehrlich.charts.hospital.records.frames import Tables, ids, picked, table, times
from ehrlich.charts.hospital.records.history import (
    background,
    general_look,
    has_problem,
    known_problems,
)
from ehrlich.charts.hospital.records.lists import medication_lists
from ehrlich.charts.hospital.records.narrative import course_text
from ehrlich.charts.hospital.records.phrases import Said, listed_words
from ehrlich.charts.hospital.records.radiology import Exams, findings_of
from ehrlich.charts.hospital.records.stays import Stays
from ehrlich.charts.hospital.records.summary import compose
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import COMPLICATION, PRINCIPAL, Scene

SHORT = {
    "wbc": "WBC",
    "rbc": "RBC",
    "hemoglobin": "Hgb",
    "hematocrit": "Hct",
    "mcv": "MCV",
    "platelets": "Plt Ct",
    "pt": "PT",
    "ptt": "PTT",
    "inr": "INR(PT)",
    "glucose": "Glucose",
    "urea_nitrogen": "UreaN",
    "creatinine": "Creat",
    "sodium": "Na",
    "potassium": "K",
    "chloride": "Cl",
    "bicarbonate": "HCO3",
    "anion_gap": "AnGap",
    "alt": "ALT",
    "ast": "AST",
    "alkaline_phosphatase": "AlkPhos",
    "bilirubin_total": "TotBili",
    "albumin": "Albumin",
    "lipase": "Lipase",
    "troponin_t": "cTropnT",
    "ck_mb": "CK-MB",
    "ntprobnp": "proBNP",
    "calcium": "Calcium",
    "phosphate": "Phos",
    "magnesium": "Mg",
    "lactate": "Lactate",
    "crp": "CRP",
    "hba1c": "%HbA1c",
    "tsh": "TSH",
    "ph": "pH",
    "pco2": "pCO2",
    "po2": "pO2",
}
# Abnormal with another of the same tube: nobody mentions them in a history.
IMPLIED = ("RBC", "Hct", "PT", "CK-MB")
LAST_H = 36
PLAIN = {
    "intubation": "Endotracheal intubation",
    "invasive_ventilation": "Mechanical ventilation",
    "multi_lumen": "Central venous catheter placement",
    "arterial_line": "Arterial line placement",
    "picc_line": "PICC placement",
    "foley_catheter": "Urinary catheter placement",
    "cardiac_cath": "Cardiac catheterization",
    "bronchoscopy": "Bronchoscopy",
    "hemodialysis": "Hemodialysis",
    "dialysis_crrt": "Continuous renal replacement therapy",
    "endoscopy": "Upper endoscopy (EGD)",
    "colonoscopy": "Colonoscopy",
    "paracentesis": "Paracentesis",
    "thoracentesis": "Thoracentesis",
    "chest_tube_placed": "Chest tube placement",
    "lumbar_puncture": "Lumbar puncture",
    "non_invasive_ventilation": "Non-invasive ventilation",
    "cardioversion_defibrillation": "Cardioversion",
    "peg_insertion": "PEG tube placement",
    "transthoracic_echo": "Transthoracic echocardiogram",
}
APPROACH = (
    r", (External|Open|Percutaneous|Percutaneous Endoscopic|Via Natural or Artificial Opening)"
    r"( Endoscopic)?( Approach)?$"
)
GOES = {
    "HOME": "Home",
    "HOME HEALTH CARE": "Home With Service\n \nFacility:\n___",
    "SKILLED NURSING FACILITY": "Extended Care\n \nFacility:\n___",
    "REHAB": "Extended Care\n \nFacility:\n___",
    "CHRONIC/LONG TERM ACUTE CARE": "Extended Care\n \nFacility:\n___",
    "HOSPICE": "Home With Service\n \nFacility:\n___ (hospice)",
    "DIED": "Expired",
    "AGAINST ADVICE": "Home\n(left against medical advice)",
}
CONDITION = (
    "Mental Status: Clear and coherent.\n"
    "Level of Consciousness: Alert and interactive.\n"
    "Activity Status: Ambulatory - Independent."
)
WEAK = (
    "Mental Status: Clear and coherent.\n"
    "Level of Consciousness: Alert and interactive.\n"
    "Activity Status: Out of Bed with assistance to chair or wheelchair."
)
CONFUSED = (
    "Mental Status: Confused - sometimes.\n"
    "Level of Consciousness: Alert and interactive.\n"
    "Activity Status: Out of Bed with assistance to chair or wheelchair."
)


def discharge_records(
    scene: Scene, stays: Stays, *, facts: Mapping[str, Any], rng: np.random.Generator
) -> Tables:
    """The two tables. `facts`: the other tables, drugs, procedures and exams of the block."""
    hours = (scene.left_s - scene.admit_s) / 3600
    written = scene.admitted & (rng.random(scene.n) < np.where(hours > 24, 0.96, 0.65))
    parts = _parts(scene, stays, facts, rng)
    text = compose(parts.filter(pl.Series(written)))
    rows = np.flatnonzero(written)
    subject = scene.encounters.subject[rows]
    first = np.append(True, np.diff(subject) > 0)[: len(rows)]
    seq = np.arange(len(rows)) - np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0)) + 2
    day = scene.left_s[rows] // DAY_S * DAY_S
    frame = pl.DataFrame({"subject_id": scene.subject_id[subject], "note_seq": seq}).with_columns(
        note_id=pl.concat_str("subject_id", pl.lit("-DS-"), "note_seq"),
        hadm_id=ids(scene.hadm_id[rows]),
        note_type=pl.lit("DS"),
        charttime=times(day),
        storetime=times(
            day + DAY_S * rng.integers(0, 3, len(rows)) + 60 * rng.integers(1205, 1430, len(rows))
        ),
        text=text,
    )
    detail = frame.select("note_id", "subject_id").with_columns(
        field_name=pl.lit("author"), field_value=pl.lit("___"), field_ordinal=pl.lit(1)
    )
    return {
        "note/discharge": table("note/discharge", frame.to_dict()),
        "note/discharge_detail": table("note/discharge_detail", detail.to_dict()),
    }


def _parts(
    scene: Scene, stays: Stays, facts: Mapping[str, Any], rng: np.random.Generator
) -> pl.DataFrame:
    """One row an encounter, one column a piece of the text."""
    book, drugs = scene.arrays.book, facts["drugs"]
    tables: Tables = facts["tables"]
    listed = list(book.conditions.values())
    principal = scene.encounters.condition
    female = scene.subjects.female[scene.encounters.subject]
    visits = stays.encounter_frame
    died, frail = (
        scene.ends.dead,
        scene.encounters.age + 4 * scene.encounters.chronic.sum(axis=1) > 88,
    )
    frame = pl.DataFrame({"encounter": np.arange(scene.n), "hadm_id": scene.hadm_id}).with_columns(
        sex=picked(["M", "F"], female.astype(int)),
        person=picked(["man", "woman"], female.astype(int)),
        mr=picked(["Mr.", "Ms."], female.astype(int)),
        service=picked(list(dict.fromkeys(book.places.services.values())), _service(scene)),
        usual_complaint=picked([(c.chief_complaints or (c.title,))[0] for c in listed], principal),
        looks=general_look(_at_first(scene)),
        looks_after=general_look(scene.severity[scene.hours_from[1:] - 1].astype(float)),
        principal=picked([c.title for c in listed], principal),
        planned=pl.Series(scene.encounters.planned),
        from_ed=pl.Series(scene.ed_id >= 0),
        dead=pl.Series(died),
        goes=picked([*GOES.values(), "Home"], _goes(visits["discharge_location"])),
        state=pl.select(
            pl.when(pl.Series(died))
            .then(pl.lit("Expired"))
            .when(pl.Series(has_problem(scene, ("dementia", "delirium", "hepatic_encephalopathy"))))
            .then(pl.lit(CONFUSED))
            .when(pl.Series(frail))
            .then(pl.lit(WEAK))
            .otherwise(pl.lit(CONDITION))
        ).to_series(),
        operation=_operations(scene, facts["done"]),
    )
    pieces = [
        known_problems(scene),
        background(scene, stays.subject_frame, drugs=drugs, rng=rng),
        *_words(facts["said"]),
        _triage(scene, tables["ed/triage"]),
        _labs(scene, tables["hosp/labevents"]),
        _cultures(tables["hosp/microbiologyevents"]),
        _images(scene, facts["exams"]),
        medication_lists(scene, drugs, rng=rng),
        course_text(scene, drugs, said=facts["said"], seen=_ventilated(scene)),
    ]
    for piece in pieces:
        key = "hadm_id" if "hadm_id" in piece.columns else "encounter"
        frame = frame.join(piece, on=key, how="left", maintain_order="left")
    return frame


def _at_first(scene: Scene) -> Floats:
    """How ill the patient seems on arrival; who comes by appointment is not ill."""
    shown = scene.appearance[scene.hours_from[:-1]]
    return np.where(scene.encounters.planned, np.minimum(shown, 1.5), shown)


def _words(said: Said) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the patient came with, and what the examination found, old signs included."""
    lead = said.symptoms.filter(pl.col("role") == PRINCIPAL)
    signs = (
        said.exam.filter(pl.col("role") != COMPLICATION)
        .sort("encounter", "role", maintain_order=True)
        .explode("words")
        .unique(["encounter", "words"], keep="first", maintain_order=True)
        .group_by("encounter", maintain_order=True)
        .agg(
            signs=pl.col("words").filter(pl.col("role") == PRINCIPAL).str.join("; "),
            old_signs=pl.col("words").filter(pl.col("role") != PRINCIPAL).str.join("; "),
        )
    )
    return lead.select("encounter", symptoms=listed_words(pl.col("words"), 4)), signs


def _service(scene: Scene) -> Ints:
    names = list(dict.fromkeys(scene.arrays.book.places.services.values()))
    full = [names.index(scene.arrays.book.places.services[s]) for s in scene.arrays.service]
    return np.array(full)[scene.encounters.condition]


def _goes(location: pl.Series) -> Ints:
    order = {name: at for at, name in enumerate(GOES)}
    return np.array([order.get(x or "HOME", len(order)) for x in location.to_list()])


def _ventilated(scene: Scene) -> tuple[Bools, Bools, Bools]:
    """(in the ICU, ventilated, on vasopressors) for each encounter."""
    icu, vent, pressor = (np.zeros(scene.n, bool) for _ in range(3))
    icu[scene.places.encounter[scene.places.kind == ICU]] = True
    vent[scene.supports[0].encounter] = True
    pressor[scene.supports[1].encounter] = True
    return icu, vent, pressor


def _operations(scene: Scene, done: pl.DataFrame) -> pl.Series:
    plain = pl.col("item").replace_strict(PLAIN, default=None, return_dtype=pl.String)
    grouped = (
        done.with_columns(title=pl.coalesce(plain, pl.col("title").str.replace(APPROACH, "")))
        .unique(["encounter", "title"], keep="first", maintain_order=True)
        .group_by("encounter", maintain_order=True)
        .agg(pl.col("title").str.join("\n"))
    )
    every = pl.DataFrame({"encounter": np.arange(scene.n)})
    return every.join(grouped, on="encounter", how="left", maintain_order="left")[
        "title"
    ].fill_null("None")


def _triage(scene: Scene, triage: pl.DataFrame) -> pl.DataFrame:
    """Vital signs on arrival."""

    def shown(column: str) -> pl.Expr:
        return (
            pl.col(column)
            .cast(pl.Float64)
            .round(1)
            .cast(pl.String)
            .str.replace(r"\.0$", "")
            .fill_null("___")
        )

    visits = pl.DataFrame({"encounter": np.arange(scene.n), "stay_id": scene.ed_id}).filter(
        pl.col("stay_id") >= 0
    )
    arrival = pl.concat_str(
        pl.lit("T "), shown("temperature"),
        pl.lit(", HR "), shown("heartrate"),
        pl.lit(", BP "), shown("sbp"), pl.lit("/"), shown("dbp"),
        pl.lit(", RR "), shown("resprate"),
        pl.lit(", SpO2 "), shown("o2sat"), pl.lit("%"),
    )  # fmt: skip
    return visits.join(triage, on="stay_id").select(
        "encounter", arrival=arrival, complaint=pl.col("chiefcomplaint")
    )


def _labs(scene: Scene, labs: pl.DataFrame) -> pl.DataFrame:
    """Lines of admission and discharge labs, and what was abnormal on arrival."""
    book = scene.arrays.book.labs
    short = pl.DataFrame(
        {
            "itemid": [book[k].itemid for k in SHORT if k in book],
            "short": [v for k, v in SHORT.items() if k in book],
        }
    ).with_row_index("rank")
    used = labs.select("hadm_id", "itemid", "charttime", "value", "flag").drop_nulls(
        ["hadm_id", "value", "charttime"]
    )
    used = used.join(short, on="itemid").sort("hadm_id", "charttime", "rank", maintain_order=True)
    result = pl.concat_str(
        "short",
        pl.lit("-"),
        "value",
        pl.when(pl.col("flag").is_not_null()).then(pl.lit("*")).otherwise(pl.lit("")),
    )
    used = used.with_columns(result=result)
    closing = pl.col("charttime").max().over("hadm_id") - pl.duration(hours=LAST_H)
    parts = {}
    for name, ordered in (
        ("first", used),
        ("last", used.filter(pl.col("charttime") >= closing).reverse()),
    ):
        one = ordered.unique(["hadm_id", "itemid"], keep="first", maintain_order=True).sort(
            "hadm_id", "charttime", "rank", maintain_order=True
        )
        lines = one.group_by("hadm_id", "charttime", maintain_order=True).agg(
            pl.col("result").str.join(" ")
        )
        line = pl.concat_str(
            pl.lit("___ "), pl.col("charttime").dt.strftime("%I:%M%p"), pl.lit(" BLOOD "), "result"
        )
        parts[name] = (
            lines.with_columns(line=line)
            .group_by("hadm_id", maintain_order=True)
            .agg(pl.col("line").str.join("\n").alias(f"{name}_labs"))
        )
    odd = used.unique(["hadm_id", "itemid"], keep="first", maintain_order=True).filter(
        pl.col("flag").is_not_null() & ~pl.col("short").is_in(IMPLIED)
    )
    said = pl.concat_str("short", pl.lit(" "), "value")
    odd = (
        odd.with_columns(said=said)
        .group_by("hadm_id", maintain_order=True)
        .agg(odd_labs=pl.col("said").head(6).str.join(", "))
    )
    joined = parts["first"].join(parts["last"], on="hadm_id", how="left")
    return joined.join(odd, on="hadm_id", how="left")


def _cultures(cultures: pl.DataFrame) -> pl.DataFrame:
    """One line a culture: what it was and what grew."""
    rows = cultures.filter(pl.col("hadm_id").is_not_null()).unique(
        "micro_specimen_id", keep="first", maintain_order=True
    )
    grown = pl.coalesce("org_name", pl.col("comments").str.strip_chars())
    line = pl.concat_str(
        pl.lit("___ "), "spec_type_desc", pl.lit(" "), "test_name", pl.lit(" (Final): "), grown
    )
    return (
        rows.with_columns(line=line)
        .group_by("hadm_id", maintain_order=True)
        .agg(cultures=pl.col("line").head(8).str.join("\n"))
    )


def _images(scene: Scene, exams: Exams) -> pl.DataFrame:
    """One line an examination: its impression."""
    who, exam, _, shown = exams
    listed = list(scene.arrays.book.exams.values())
    found = picked(findings_of(scene), np.where(shown >= 0, shown, -1))
    frame = pl.DataFrame(
        {
            "encounter": who,
            "exam": picked([e.exam_name for e in listed], exam),
            "found": found,
            "calm": picked([e.normal_impression for e in listed], exam),
            "tube": shown == -2,
        }
    )
    frame = frame.filter(~pl.col("tube"))
    line = pl.concat_str(pl.lit("___ "), "exam", pl.lit(": "), pl.coalesce("found", "calm"))
    return (
        frame.with_columns(line=line)
        .group_by("encounter", maintain_order=True)
        .agg(images=pl.col("line").str.join("\n"))
    )
