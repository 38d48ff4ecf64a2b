"""What a summary says of a person apart from the stay: old diseases, allergies, life, family."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Bools, Floats
from ehrlich.charts.hospital.records.drugs import Medication
from ehrlich.charts.hospital.records.frames import picked
from ehrlich.charts.hospital.records.narrative import named
from ehrlich.charts.hospital.records.phrases import listed_words
from ehrlich.charts.hospital.scene import COMORBID, PRINCIPAL, Scene

FAMILY = (
    "Reviewed and non-contributory.",
    "No family history of early cardiac disease or cancer.",
    "Father with coronary disease, died at age ___.",
    "Mother with diabetes and hypertension.",
    "Mother with breast cancer at age ___.",
    "Brother with colon cancer. No bleeding or clotting disorders.",
    "Stroke in a grandparent.",
    "Unknown to the patient.",
)
NOT_SAID = 0.3  # social histories that de-identification left empty
GENERAL = (
    "Well appearing, in no distress",
    "Alert, in no acute distress",
    "Uncomfortable, mildly ill appearing",
    "Ill appearing, in moderate distress",
    "Critically ill",
)


def known_problems(scene: Scene) -> pl.DataFrame:
    """Past medical history, and the list of diagnoses at discharge."""
    problems = scene.problems
    listed = list(scene.arrays.book.conditions.values())
    frame = pl.DataFrame(
        {
            "encounter": problems.encounter,
            "role": problems.role,
            "title": named(listed, problems.condition, short=False),
            "short": named(listed, problems.condition, short=True),
        }
    )
    old = frame.filter(pl.col("role") == COMORBID).group_by("encounter", maintain_order=True)
    pmh = old.agg(pmh=pl.col("title").str.join("\n- "), known=pl.col("short"))
    pmh = pmh.with_columns(known=listed_words(pl.col("known"), 4))
    also = frame.filter(pl.col("role") != PRINCIPAL).sort(
        pl.col("role") == COMORBID, maintain_order=True
    )
    secondary = also.group_by("encounter", maintain_order=True).agg(
        secondary=pl.col("title").str.join("\n")
    )
    return secondary.join(pmh, on="encounter", how="full", coalesce=True)


def background(
    scene: Scene, people: pl.DataFrame, *, drugs: Medication, rng: np.random.Generator
) -> pl.DataFrame:
    """Allergies, social and family history of every encounter; the same at every visit."""
    subject = scene.encounters.subject
    family = rng.integers(0, len(FAMILY), len(scene.subject_id))
    return pl.DataFrame({"encounter": np.arange(scene.n)}).with_columns(
        allergies=_allergies(scene, drugs.allergies).gather(pl.Series(subject)),
        social=_social(scene, people["marital_status"].gather(pl.Series(subject)), rng),
        family=picked(FAMILY, family[subject]),
    )


def _allergies(scene: Scene, has: Bools) -> pl.Series:
    names = [a.name for a in scene.arrays.book.allergies.values()]
    none = "Patient recorded as having No Known Allergies to Drugs"
    return pl.Series([" / ".join(np.array(names)[row]) or none for row in has], dtype=pl.String)


def _social(scene: Scene, marital: pl.Series, rng: np.random.Generator) -> pl.Series:
    """Home, work and habits in sentences with blanks, or one blank for all of it."""
    subject = scene.encounters.subject
    draw = rng.random((3, len(scene.subject_id)))[:, subject]
    old = scene.encounters.age
    married = (marital == "MARRIED").fill_null(False).to_numpy()
    home = np.select([old > 86 - 8 * draw[0], married, draw[0] < 0.45], [0, 1, 2], 3)
    homes = ("Lives in an assisted living facility.", "Lives with spouse in ___.",
             "Lives alone in ___.", "Lives with family in ___.")  # fmt: skip
    work = np.select([old > 66, draw[1] < 0.12], [0, 1], 2)
    jobs = ("Retired ___.", "Currently not working.", "Works as a ___.")
    smokes, lungs = _has(scene, "tobacco_use"), _has(scene, "copd")
    smoking = np.select([smokes, lungs | (draw[2] < 0.3)], [0, 1], 2)
    drinks = np.select([_has(scene, "alcohol_use_disorder"), draw[1] < 0.5], [0, 1], 2)
    drug = _has(scene, "opioid_use_disorder").astype(int)
    text = pl.DataFrame(
        {
            "home": picked(homes, home),
            "job": picked(jobs, work),
            "smoking": picked(("Smokes ___ pack(s) a day.", "Former smoker, quit ___ years ago.",
                               "Never smoked."), smoking),
            "drinks": picked(("Drinks ___ daily.", "Drinks socially.", "No alcohol."), drinks),
            "drug": picked(("Denies illicit drugs.", "Past injection drug use."), drug),
        }
    ).select(pl.concat_str(pl.all(), separator=" ")).to_series()  # fmt: skip
    silent = rng.random(len(scene.subject_id))[subject] < NOT_SAID
    return text.set(pl.Series(silent), "___")


def _has(scene: Scene, key: str) -> Bools:
    """Encounters of people who have an old disease."""
    return np.asarray(scene.encounters.chronic[:, scene.arrays.index(key)])


def general_look(shown: Floats) -> pl.Series:
    """The first line of a physical examination, by how ill the patient seems."""
    return picked(GENERAL, np.searchsorted([0.7, 1.7, 2.7, 4.0], shown))


def has_problem(scene: Scene, keys: tuple[str, ...]) -> Bools:
    """Encounters in which one of the conditions is a problem, old or new."""
    rows = [scene.arrays.index(key) for key in keys]
    found = np.zeros(scene.n, bool)
    found[scene.problems.encounter[np.isin(scene.problems.condition, rows)]] = True
    return found
