"""The sections of a discharge summary, put together from the pieces that `discharge.py` gathers."""

from __future__ import annotations

from typing import Any

import polars as pl

from ehrlich.charts.hospital.records.phrases import mid_sentence

HEAD = (
    " \nName:  ___                     Unit No:   ___\n"
    " \nAdmission Date:  ___              Discharge Date:   ___\n"
    " \nDate of Birth:  ___             Sex:   "
)
LISTED = "The Preadmission Medication list is accurate and complete.\n"
ADVICE = (
    ". Please take your medications as listed and call your doctor if your symptoms "
    "return.\n\nYour ___ Team"
)


def _opening() -> tuple[pl.Expr, pl.Expr, pl.Expr, pl.Expr]:
    """Why they came, the vital signs and labs on arrival, what was known."""
    named = mid_sentence(pl.col("principal"))
    complains = pl.concat_str(pl.lit(" with "), "symptoms").fill_null("")
    came = (
        pl.when("planned")
        .then(pl.concat_str(complains, pl.lit(" who presents for "), named, pl.lit(".")))
        .when(pl.col("symptoms").is_not_null())
        .then(pl.concat_str(pl.lit(" who presented with "), "symptoms", pl.lit(".")))
        .otherwise(pl.concat_str(pl.lit(" who presented with "), named, pl.lit(".")))
    )
    arrival = (
        pl.when(pl.col("arrival").is_not_null())
        .then(
            pl.concat_str(pl.lit("\n\nIn the ED, initial vitals were: "), "arrival", pl.lit(". "))
        )
        .otherwise(pl.lit("\n\n"))
    )
    odd = (
        pl.when(pl.col("odd_labs").is_not_null())
        .then(pl.concat_str(pl.lit("Labs were notable for "), "odd_labs", pl.lit(".")))
        .otherwise(pl.lit("Labs were unremarkable."))
    )
    known = (
        pl.when(pl.col("known").is_not_null())
        .then(pl.concat_str(pl.lit(" with a history of "), "known"))
        .otherwise(pl.lit(""))
    )
    return came, arrival, odd, known


def _examination() -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Signs on arrival, old signs, and the examination before leaving."""

    def line(column: str) -> pl.Expr:
        said = pl.concat_str(pl.lit("\nNotable: "), column, pl.lit("."))
        return pl.when(pl.col(column).fill_null("") != "").then(said).otherwise(pl.lit(""))

    old = pl.concat_str(pl.lit("\nChronic: "), "old_signs", pl.lit("."))
    known = pl.when(pl.col("old_signs").fill_null("") != "").then(old).otherwise(pl.lit(""))
    # The signs of planned surgery are those after it.
    after = pl.concat_str(
        pl.lit("Vitals: ___\nGeneral: "),
        "looks_after",
        pl.lit("."),
        pl.when("planned").then(line("signs")).otherwise(pl.lit("")),
    )
    left = pl.when("dead").then(pl.lit("Not applicable.")).otherwise(after)
    return pl.when("planned").then(pl.lit("")).otherwise(line("signs")), known, left


def compose(parts: pl.DataFrame) -> pl.Series:
    """The text, section by section."""

    def section(title: str, *body: Any) -> list[pl.Expr]:
        return [
            pl.lit(f"\n \n{title}:\n"),
            *(b if isinstance(b, pl.Expr) else pl.lit(b) for b in body),
        ]

    def or_else(column: str, otherwise: str) -> pl.Expr:
        return pl.col(column).fill_null(otherwise)

    dead = pl.col("dead")
    came, arrival, odd, known = _opening()
    farewell = pl.concat_str(
        pl.lit("Dear "),
        "mr",
        pl.lit(" ___,\n\nYou were admitted to the hospital "),
        pl.when("planned").then(pl.lit("for ")).otherwise(pl.lit("with ")),
        mid_sentence(pl.col("principal")),
        pl.lit(ADVICE),
    )
    leaves_with = (
        pl.when(dead).then(pl.lit("None (expired)")).otherwise(or_else("leaves_with", "None"))
    )
    advice = pl.when(dead).then(pl.lit("Not applicable.")).otherwise(farewell)
    before, old_signs, after = _examination()
    bare = pl.col("principal").str.replace(", planned", "", literal=True)
    person = [pl.col("mr"), pl.lit(" ___ is a ___ year old "), pl.col("person")]
    text = pl.concat_str(
        pl.lit(HEAD), "sex", pl.lit("\n \nService: "), pl.col("service").str.to_uppercase(),
        *section("Allergies", pl.col("allergies")),
        *section("Attending", "___."),
        *section("Chief Complaint", pl.coalesce("complaint", "usual_complaint")),
        *section("Major Surgical or Invasive Procedure", pl.col("operation")),
        *section("History of Present Illness", *person, known, came, arrival, odd),
        *section("Past Medical History", pl.lit("- "), or_else("pmh", "None known")),
        *section("Social History", pl.col("social")),
        *section("Family History", pl.col("family")),
        *section("Physical Exam", "ADMISSION PHYSICAL EXAM:\nVitals: ", or_else("arrival", "___")),
        pl.lit("\nGeneral: "), "looks", pl.lit("."), before, old_signs,
        pl.lit("\n\nDISCHARGE PHYSICAL EXAM:\n"), after,
        *section("Pertinent Results", "ADMISSION LABS:\n", or_else("first_labs", "None drawn.")),
        pl.lit("\n\nDISCHARGE LABS:\n"), or_else("last_labs", "None drawn."),
        pl.lit("\n\nMICROBIOLOGY:\n"), or_else("cultures", "None sent."),
        pl.lit("\n\nIMAGING:\n"), or_else("images", "None."),
        *section("Brief Hospital Course", pl.col("course")),
        *section("Medications on Admission", LISTED, or_else("came_with", "None")),
        *section("Discharge Medications", leaves_with),
        *section("Discharge Disposition", or_else("goes", "Home")),
        *section("Discharge Diagnosis", "PRIMARY:\n", bare),
        pl.lit("\n\nSECONDARY:\n"), or_else("secondary", "None"),
        *section("Discharge Condition", pl.col("state")),
        *section("Discharge Instructions", advice),
        *section("Followup Instructions", "___"),
        pl.lit("\n"),
    )  # fmt: skip
    return parts.select(text).to_series()
