"""radiology, radiology_detail: reports whose findings are those of the conditions."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Ints
from ehrlich.charts.hospital.course import HOUR_S
from ehrlich.charts.hospital.records.frames import Tables, ids, picked, table, times
from ehrlich.charts.hospital.records.phrases import Said, mid_sentence
from ehrlich.charts.hospital.scene import COMORBID, PRINCIPAL, Scene, every

Exams = tuple[Ints, Ints, Ints, Ints]  # encounter, exam, second, finding (row of findings_of) or -1


def findings_of(scene: Scene) -> list[str]:
    """Every imaging finding of the textbook, in order."""
    return [i.finding for c in scene.arrays.book.conditions.values() for i in c.findings.imaging]


def exams_done(scene: Scene, rng: np.random.Generator) -> Exams:
    """Which examinations were done, when, and what they showed."""
    problems, exams = scene.problems, list(scene.arrays.book.exams)
    parts: list[Exams] = []
    number = 0
    for row, condition in enumerate(scene.arrays.book.conditions.values()):
        mine = np.flatnonzero((problems.condition == row) & (problems.role != COMORBID))
        for name in dict.fromkeys(i.exam for i in condition.findings.imaging):
            of, since = problems.encounter[mine], problems.onset_s[mine]
            ordered = rng.random(len(of)) < 0.9
            of, since = of[ordered], since[ordered]
            draw, below, shown = rng.random(len(of)), np.zeros(len(of)), np.full(len(of), -1)
            for at, finding in enumerate(condition.findings.imaging):
                if finding.exam == name:
                    shown[(draw >= below) & (draw < below + finding.p)] = number + at
                    below = below + finding.p
            second = since + 60 * rng.integers(35, 300, len(of))
            parts.append((of, np.full(len(of), exams.index(name)), second, shown))
        number += len(condition.findings.imaging)
    parts.append(_lines(scene, exams.index("chest_portable"), rng))
    who, exam, second, shown = (np.concatenate(c) for c in zip(*parts, strict=True))
    keep = np.flatnonzero(second < scene.left_s[who])
    keep = keep[np.lexsort((exam[keep], second[keep], who[keep]))]
    return who[keep], exam[keep], second[keep] // 60 * 60, shown[keep]


def _lines(scene: Scene, exam: int, rng: np.random.Generator) -> Exams:
    """Chest films of ventilated patients: tube and line positions, daily."""
    vent = scene.supports[0]
    row, second = every(vent.start_s + 2400, vent.end_s, period_s=24 * HOUR_S)
    second = second + 60 * rng.integers(0, 90, len(row))
    return vent.encounter[row], np.full(len(row), exam), second, np.full(len(row), -2)


TUBE = (
    "The endotracheal tube terminates appropriately above the carina. "
    "An enteric tube courses below the diaphragm. There is no pneumothorax."
)
TUBE_IMPRESSION = "Support devices in standard position. No pneumothorax."


def radiology_records(scene: Scene, done: Exams, *, said: Said, rng: np.random.Generator) -> Tables:
    """The two tables."""
    who, exam, second, shown = done
    exams = list(scene.arrays.book.exams.values())
    subject = scene.encounters.subject[who]
    order = np.lexsort((second, subject))
    who, exam, second, shown, subject = (c[order] for c in (who, exam, second, shown, subject))
    n = len(who)
    first = np.append(True, np.diff(subject) > 0)[:n]
    seq = np.arange(n) - np.maximum.accumulate(np.where(first, np.arange(n), 0)) + 2
    subject_id = pl.Series("subject_id", scene.subject_id[subject])
    frame = pl.DataFrame({"subject_id": subject_id, "note_seq": seq}).with_columns(
        note_id=pl.concat_str("subject_id", pl.lit("-RR-"), "note_seq"),
        hadm_id=ids(scene.hadm_id[who]),
        note_type=pl.lit("RR"),
        charttime=times(second),
        storetime=times(second + 60 * np.round(np.exp(rng.normal(4.6, 0.8, n))).astype(np.int64)),
        text=_text(scene, (who, exam, shown), said, rng),
    )
    return {
        "note/radiology": table("note/radiology", frame.to_dict()),
        "note/radiology_detail": _details(
            frame, exam, [(e.exam_name, e.exam_code, e.cpt) for e in exams]
        ),
    }


def _text(
    scene: Scene, rows: tuple[Ints, Ints, Ints], said: Said, rng: np.random.Generator
) -> pl.Series:
    who, exam, shown = rows
    exams = list(scene.arrays.book.exams.values())
    findings = findings_of(scene)
    sex = picked(["man", "woman"], scene.subjects.female[scene.encounters.subject[who]].astype(int))
    normal = picked([e.normal_findings for e in exams], exam)
    found = picked(findings, np.where(shown >= 0, shown, -1))
    tube = pl.Series(shown == -2)
    frame = pl.DataFrame(
        {
            "exam": picked([e.exam_name for e in exams], exam),
            "technique": picked([e.technique for e in exams], exam),
            "sex": sex,
            "reason": _reasons(scene, said).gather(pl.Series(who)),
            "normal": normal,
            "found": found,
            "tube": tube,
            "calm": picked([e.normal_impression for e in exams], exam),
        }
    )
    finding = (
        pl.when(pl.col("tube"))
        .then(pl.lit(TUBE))
        .when(pl.col("found").is_not_null())
        .then(pl.concat_str("found", pl.lit(" No other acute abnormality is identified.")))
        .otherwise(pl.col("normal"))
    )
    impression = (
        pl.when(pl.col("tube"))
        .then(pl.lit(TUBE_IMPRESSION))
        .otherwise(pl.coalesce("found", "calm"))
    )
    text = pl.concat_str(
        pl.lit("EXAMINATION:  "),
        "exam",
        pl.lit("\n\nINDICATION:  ___ year old "),
        "sex",
        pl.lit(" with "),
        "reason",
        pl.lit("  // evaluate for acute process"),
        pl.lit("\n\nTECHNIQUE:  "),
        "technique",
        pl.lit(".\n\nCOMPARISON:  "),
        pl.Series("c", np.where(rng.random(len(who)) < 0.5, "___", "None.").tolist()),
        pl.lit("\n\nFINDINGS: \n\n"),
        finding,
        pl.lit("\n\nIMPRESSION: \n\n"),
        impression,
        pl.lit("\n"),
    )
    return frame.select(text).to_series()


def _reasons(scene: Scene, said: Said) -> pl.Series:
    """Why a picture is wanted, for every encounter: what brought the patient."""
    titles = [c.title for c in scene.arrays.book.conditions.values()]
    every = pl.DataFrame(
        {"encounter": np.arange(scene.n), "title": picked(titles, scene.encounters.condition)}
    )
    lead = said.symptoms.filter(pl.col("role") == PRINCIPAL)
    joined = every.join(lead, on="encounter", how="left", maintain_order="left")
    words = pl.col("words").list.head(2).list.join(", ")
    return joined.select(words.fill_null(mid_sentence(pl.col("title")))).to_series()


def _details(frame: pl.DataFrame, exam: Ints, facts: list[tuple[str, str, str]]) -> pl.DataFrame:
    parts = []
    for order, (name, at) in enumerate((("exam_name", 0), ("exam_code", 1), ("cpt_code", 2))):
        value = picked([f[at] for f in facts], exam)
        parts.append(
            frame.select("note_id", "subject_id", "note_seq").with_columns(
                field_name=pl.lit(name),
                field_value=value,
                field_ordinal=pl.lit(1),
                rank=pl.lit(order),
            )
        )
    rows = pl.concat(parts).sort("subject_id", "note_seq", "rank")
    return table("note/radiology_detail", rows.to_dict())
