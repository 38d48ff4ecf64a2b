"""The hospital course in words: each problem, what it was treated with, how it ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Bools, Ints
from ehrlich.charts.hospital.records.drugs import Medication
from ehrlich.charts.hospital.records.frames import picked
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import COMORBID, COMPLICATION, PRINCIPAL, Scene
from ehrlich.charts.hospital.textbook import Condition


def phrase_list(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def named(listed: list[Condition], condition: Ints, *, short: bool) -> pl.Series:
    """Titles, or the shorthand that notes use."""
    return picked([(c.also[0] if short and c.also else c.title) for c in listed], condition)


def course_text(
    scene: Scene, drugs: Medication, *, seen: tuple[Bools, Bools, Bools]
) -> pl.DataFrame:
    """(encounter, course): the brief hospital course of every encounter."""
    frame = _problem_lines(scene, drugs).group_by("encounter", maintain_order=True)
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


def _problem_lines(scene: Scene, drugs: Medication) -> pl.DataFrame:
    """A line a problem: how it came, what was done about it."""
    both = ["encounter", "condition"]
    frame = _problems(scene)
    for given in (_treated_with(scene, drugs), _home_drugs(scene, drugs)):
        frame = frame.join(given, on=both, how="left", maintain_order="left")
    treated = (
        pl.when(pl.col("drugs").is_not_null())
        .then(pl.concat_str(pl.lit(" Treated with "), "drugs", pl.lit(".")))
        .otherwise(pl.lit(" Managed supportively."))
    )
    continued = (
        pl.when(pl.col("home").is_not_null())
        .then(pl.concat_str(pl.lit("Continued home "), "home", pl.lit(".")))
        .otherwise(pl.lit("Stable, no change to management."))
    )
    began = (
        pl.when(pl.col("role") == COMPLICATION)
        .then(pl.concat_str(pl.lit("Developed on hospital day "), "day", pl.lit(".")))
        .when(pl.col("planned") & (pl.col("role") == PRINCIPAL))
        .then(pl.lit("Admitted electively."))
        .otherwise(pl.concat_str(pl.lit("Presented with "), "symptoms", pl.lit(".")))
    )
    old = pl.col("role") == COMORBID
    body = pl.when(old).then(continued).otherwise(pl.concat_str(began, treated))
    return frame.with_columns(line=pl.concat_str(pl.lit("# "), "title", pl.lit(": "), body))


def _problems(scene: Scene) -> pl.DataFrame:
    problems, listed = scene.problems, list(scene.arrays.book.conditions.values())
    who = problems.encounter
    return pl.DataFrame(
        {
            "encounter": who,
            "condition": problems.condition,
            "role": problems.role,
            "title": named(listed, problems.condition, short=False),
            "symptoms": picked(
                [phrase_list(c.findings.symptoms[:3]) or c.title.lower() for c in listed],
                problems.condition,
            ),
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
    frame = frame.unique(maintain_order=True)
    words = pl.col("drug")
    joined = (
        pl.when(words.len() > 1)
        .then(
            pl.concat_str(words.head(words.len() - 1).str.join(", "), pl.lit(" and "), words.last())
        )
        .otherwise(words.first())
    )
    return frame.group_by("encounter", "condition", maintain_order=True).agg(joined.alias(name))


def _treated_with(scene: Scene, drugs: Medication) -> pl.DataFrame:
    orders = drugs.orders
    mine = orders.condition >= 0
    return _drug_names(
        scene, orders.encounter[mine], orders.condition[mine], orders.drug[mine], "drugs"
    )


def _home_drugs(scene: Scene, drugs: Medication) -> pl.DataFrame:
    home = drugs.home
    return _drug_names(scene, home.encounter, home.condition, home.drug, "home")


def _frame_of_stay(scene: Scene, seen: tuple[Bools, Bools, Bools]) -> pl.DataFrame:
    """How the stay is introduced and how it closes."""
    icu, vent, pressor = (pl.Series(x) for x in seen)
    listed = list(scene.arrays.book.conditions.values())
    female = scene.subjects.female[scene.encounters.subject]
    title = named(listed, scene.encounters.condition, short=False)
    days = np.maximum(np.round((scene.left_s - scene.admit_s) / DAY_S), 1).astype(np.int64)
    frame = pl.DataFrame(
        {
            "encounter": np.arange(scene.n),
            "title": title,
            "person": picked(["man", "woman"], female.astype(int)),
            "days": days,
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
        pl.col("title").str.to_lowercase(),
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
            pl.concat_str(
                pl.lit(
                    "TRANSITIONAL ISSUES:\n- Follow up with primary care within ___ days.\n"
                    "- Length of stay "
                ),
                "days",
                pl.lit(" day(s); symptoms had improved by discharge."),
            )
        )
    )
    return opening.alias("opening"), closing.alias("closing")
