"""The hospital course in words: each problem, what it was treated with, how it ended."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Bools, Ints
from ehrlich.charts.hospital.records.drugs import Medication
from ehrlich.charts.hospital.records.frames import picked
from ehrlich.charts.hospital.records.phrases import Said, listed_words, mid_sentence
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import COMORBID, COMPLICATION, PRINCIPAL, Scene
from ehrlich.charts.hospital.textbook import Condition

MOST_DRUGS = 7


def named(listed: list[Condition], condition: Ints, *, short: bool) -> pl.Series:
    """Titles, or the shorthand that notes use."""
    return picked([(c.also[0] if short and c.also else c.title) for c in listed], condition)


def course_text(
    scene: Scene, drugs: Medication, *, said: Said, seen: tuple[Bools, Bools, Bools]
) -> pl.DataFrame:
    """(encounter, course): the brief hospital course of every encounter."""
    frame = _problem_lines(scene, drugs, said).group_by("encounter", maintain_order=True)
    lines, old = pl.col("line"), pl.col("role") == COMORBID
    issues = frame.agg(
        acute=lines.filter(~old).str.join("\n\n"), chronic=lines.filter(old).str.join("\n")
    )
    whole = _frame_of_stay(scene, seen).join(
        issues, on="encounter", how="left", maintain_order="left"
    )
    chronic = (
        pl.when(pl.col("chronic") != "")
        .then(pl.concat_str(pl.lit("\n\nCHRONIC ISSUES:\n"), "chronic"))
        .otherwise(pl.lit(""))
    )
    text = pl.concat_str(
        "opening", pl.lit("\n\nACUTE ISSUES:\n"), "acute", chronic, pl.lit("\n\n"), "closing"
    )
    return whole.select("encounter", course=text)


def _problem_lines(scene: Scene, drugs: Medication, said: Said) -> pl.DataFrame:
    """A line a problem: how it came, what was done about it."""
    both = ["encounter", "condition"]
    words = said.symptoms.select(*both, listed_words(pl.col("words"), 3).alias("symptoms"))
    frame = _problems(scene)
    given_drugs = (
        _treated_with(scene, drugs),
        _home_drugs(scene, drugs, held=False),
        _home_drugs(scene, drugs, held=True),
    )
    for given in (words, *given_drugs):
        frame = frame.join(given, on=both, how="left", maintain_order="left")
    treated = (
        pl.when(pl.col("drugs").is_not_null())
        .then(pl.concat_str(pl.lit(" Treated with "), "drugs", pl.lit(".")))
        .otherwise(pl.lit(" Managed supportively."))
    )
    continued = (
        pl.when(pl.col("home").is_not_null())
        .then(pl.concat_str(pl.lit("Continued home "), "home", pl.lit(". ")))
        .when(pl.col("held").is_null())
        .then(pl.lit("Stable, no change to management."))
        .otherwise(pl.lit(""))
    )
    paused = (
        pl.when(pl.col("held").is_not_null())
        .then(pl.concat_str(pl.lit("Home "), "held", pl.lit(" held during the acute illness.")))
        .otherwise(pl.lit(""))
    )
    began = (
        pl.when(pl.col("role") == COMPLICATION)
        .then(pl.concat_str(pl.lit("Developed on hospital day "), "day", pl.lit(".")))
        .when(pl.col("planned") & (pl.col("role") == PRINCIPAL))
        .then(pl.lit("Admitted electively."))
        .when(pl.col("symptoms").is_not_null())
        .then(pl.concat_str(pl.lit("Presented with "), "symptoms", pl.lit(".")))
        .otherwise(pl.lit("Found on arrival."))
    )
    bare = pl.col("title").str.replace(", planned", "", literal=True)
    old = pl.col("role") == COMORBID
    body = (
        pl.when(old)
        .then(pl.concat_str(continued, paused).str.strip_chars_end())
        .otherwise(pl.concat_str(began, treated))
    )
    return frame.with_columns(line=pl.concat_str(pl.lit("# "), bare, pl.lit(": "), body))


def _problems(scene: Scene) -> pl.DataFrame:
    problems, listed = scene.problems, list(scene.arrays.book.conditions.values())
    who = problems.encounter
    return pl.DataFrame(
        {
            "encounter": who,
            "condition": problems.condition,
            "role": problems.role,
            "title": named(listed, problems.condition, short=False),
            "day": 1 + np.maximum((problems.onset_s - scene.admit_s[who]) // DAY_S, 0),
            "planned": scene.encounters.planned[who],
        }
    ).sort("encounter", "role", maintain_order=True)


def _drug_names(
    scene: Scene, encounter: Ints, condition: Ints, drug: Ints, name: str
) -> pl.DataFrame:
    book = list(scene.arrays.book.drugs.values())
    frame = pl.DataFrame(
        {
            "encounter": encounter,
            "condition": condition,
            "drug": picked([d.name.lower() for d in book], drug),
        }
    )
    grouped = frame.unique(maintain_order=True).group_by(
        "encounter", "condition", maintain_order=True
    )
    return grouped.agg("drug").select(
        "encounter", "condition", listed_words(pl.col("drug"), MOST_DRUGS).alias(name)
    )


def _treated_with(scene: Scene, drugs: Medication) -> pl.DataFrame:
    """What was ordered for each problem, in the textbook's order."""
    orders, keys = drugs.orders, list(scene.arrays.book.drugs)
    place = np.zeros((len(scene.arrays.keys), len(keys)), np.int64)
    for row, condition in enumerate(scene.arrays.book.conditions.values()):
        for at, treatment in enumerate(condition.treatments):
            place[row, keys.index(treatment.drug)] = at
    mine = np.flatnonzero(orders.condition >= 0)
    who, condition_row, drug = orders.encounter[mine], orders.condition[mine], orders.drug[mine]
    order = np.lexsort((place[condition_row, drug], condition_row, who))
    return _drug_names(scene, who[order], condition_row[order], drug[order], "drugs")


def _home_drugs(scene: Scene, drugs: Medication, *, held: bool) -> pl.DataFrame:
    home = drugs.home
    rows = np.flatnonzero(home.held == held)
    name = "held" if held else "home"
    return _drug_names(scene, home.encounter[rows], home.condition[rows], home.drug[rows], name)


def _frame_of_stay(scene: Scene, seen: tuple[Bools, Bools, Bools]) -> pl.DataFrame:
    """How the stay is introduced and how it closes."""
    icu, vent, pressor = (pl.Series(x) for x in seen)
    listed = list(scene.arrays.book.conditions.values())
    female = scene.subjects.female[scene.encounters.subject]
    title = named(listed, scene.encounters.condition, short=False)
    frame = pl.DataFrame(
        {
            "encounter": np.arange(scene.n),
            "title": title,
            "person": picked(["man", "woman"], female.astype(int)),
            "icu": icu,
            "vent": vent,
            "pressor": pressor,
            "dead": scene.ends.dead,
            "planned": scene.encounters.planned,
        }
    )
    return frame.select("encounter", *_opening_and_closing())


def _opening_and_closing() -> tuple[pl.Expr, pl.Expr]:
    """The first and the last paragraph."""
    care = pl.concat_str(
        pl.when("icu").then(pl.lit(" The patient required intensive care.")).otherwise(pl.lit("")),
        pl.when("vent")
        .then(pl.lit(" Intubated and mechanically ventilated."))
        .otherwise(pl.lit("")),
        pl.when("pressor")
        .then(pl.lit(" Hypotension required vasopressors."))
        .otherwise(pl.lit("")),
    )
    came = (
        pl.when("planned")
        .then(pl.lit(" admitted electively for "))
        .otherwise(pl.lit(" admitted with "))
    )
    opening = pl.concat_str(
        pl.lit("SUMMARY: ___ year old "),
        "person",
        came,
        mid_sentence(pl.col("title")),
        pl.lit("."),
        care,
    )
    closing = (
        pl.when("dead")
        .then(
            pl.lit(
                "Despite treatment the patient's condition worsened. Family was at the bedside. "
                "The patient died on ___ at ___."
            )
        )
        .otherwise(
            pl.lit(
                "TRANSITIONAL ISSUES:\n- Follow up with primary care within ___ days.\n"
                "- Symptoms had improved by discharge."
            )
        )
    )
    return opening.alias("opening"), closing.alias("closing")
