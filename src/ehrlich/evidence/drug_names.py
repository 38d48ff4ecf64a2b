"""A drug as a chart spells it → the name of its ingredient, by lists of words (drug_names.yaml)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import polars as pl

from ehrlich.base.config import Model, load_model

# A number with its unit, a ratio, a range, a share: 5000 units/mL, 16.2/30mg, 1:1000, 2.5 %.
AMOUNT = r"\d[\d,.]*"
UNIT = (
    r"(?:mg|mcg|g|gm|gram|ml|l|unit|units|meq|mmol|mm|mcg|ng|hr|h|hour|million units|%)"
    r"(?:\s?/\s?(?:\d[\d,.]*\s?)?(?:mg|ml|l|hr|h|hour|g|actuation|dose|tab)\b)*"
)
STRENGTH = rf"(?:^|[\s(-]){AMOUNT}(?:\s?[-/:x]\s?{AMOUNT})*\s?(?:{UNIT})?(?:$|[\s)]|\b)"
# Joined to the word before it: Propionate 110mcg leaves nothing, lenalidomide15mg loses its end.
JOINED = rf"{AMOUNT}\s?(?:mg|mcg|meq|ml|%)(?:\s?/\s?(?:\d[\d,.]*\s?)?(?:mg|ml|hr|g))*(?:\b|$)"
COMBINATION = r"^[a-z]{5,}(?:-[a-z]{5,})+$"


class DrugWords(Model):
    """What drug_names.yaml may say; see there."""

    cut_after: tuple[str, ...]
    salts: tuple[str, ...]
    minerals: tuple[str, ...]
    forms: tuple[str, ...]
    no_drug: tuple[str, ...]
    spellings: dict[str, str]


@cache
def drug_words() -> DrugWords:
    """The lists that come with the package."""
    return load_model(DrugWords, files("ehrlich.evidence").joinpath("drug_names.yaml"))


def ingredients(names: pl.Series, words: DrugWords | None = None) -> pl.Series:
    """The ingredient of each name, lower case; null where it names a container or nothing.

    Parts of a combination stand in the order of the alphabet. What it does not know it leaves as
    it is; it never guesses.
    """
    words = words or drug_words()
    given = pl.DataFrame({"given": names.cast(pl.String)})
    frame = given.unique(maintain_order=True).with_columns(name=pl.col("given"))
    name, none = pl.col("name"), list(words.no_drug)
    # Step by step: as one expression each step would be worked out again for each use of it.
    steps = [
        _spelt(_without_remarks(name, words), words),
        pl.when(~name.is_in(none)).then(_without_strengths(name)),
        _without_words(name, words.forms),
        _without_salts(name, words),
        _spelt(name, words),
        pl.when(name.str.contains(COMBINATION))
        .then(name.str.split("-").list.sort().list.join("-"))
        .otherwise(name),
        pl.when(name.str.contains(r"[a-z]{2}") & ~name.is_in(none)).then(name),
    ]
    for step in steps:
        frame = frame.with_columns(name=step)
    joined = given.join(frame, on="given", how="left", nulls_equal=True, maintain_order="left")
    return joined["name"]


def _without_remarks(name: pl.Expr, words: DrugWords) -> pl.Expr:
    """Lower case, without brackets and without what follows the name."""
    plain = (
        name.str.to_lowercase()
        .str.replace_all(r"[\u2013\u2014]", "-")
        .str.replace_all(r"\*[a-z ]+\*|[*_]", " ")
        .str.replace_all(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}", " ")
        .str.replace_all(r"\([^)]*$", " ")
        .str.replace_all(r"\s+", " ")
    )
    ends = "|".join(re.escape(end) for end in words.cut_after)
    plain = plain.str.replace_all(r"\b\d+-valent\b", " ")
    cut = plain.str.replace(rf"^(\s*[a-z].*?)(?:{ends}).*$", "${1}")
    return cut.str.replace_all(r"\s*\|\s*|--|\s*\bw/\s?", "-").str.strip_chars(" -,;:./")


def _without_strengths(name: pl.Expr) -> pl.Expr:
    # Twice: a match takes the space that the next one would begin with.
    for _ in range(2):
        name = name.str.replace_all(STRENGTH, " ")
    joined = _tidy(name.str.replace_all(JOINED, " "))
    return joined.str.replace_all(r"\s?%\s?", "").str.replace_all(
        r"([a-z])\s?/\s?([a-z])", "${1}-${2}"
    )


def _without_words(name: pl.Expr, listed: Iterable[str]) -> pl.Expr:
    """`name` without these words, unless nothing were left."""
    longest = sorted(listed, key=lambda word: (-len(word), word))
    pattern = rf"(?:^|[\s,-])(?:{'|'.join(map(re.escape, longest))})\.?(?:$|[\s,])"
    # Two spaces between words: a match takes the one that the next would begin with.
    tidy = _tidy(name.str.replace_all(r"\s", "  ").str.replace_all(pattern, "  "))
    return pl.when(tidy == "").then(name).otherwise(tidy)


def _without_salts(name: pl.Expr, words: DrugWords) -> pl.Expr:
    is_mineral = name.str.extract(r"^([a-z]+)", 1).is_in(list(words.minerals))
    return pl.when(is_mineral).then(name).otherwise(_without_words(name, words.salts))


def _spelt(name: pl.Expr, words: DrugWords) -> pl.Expr:
    return name.replace(list(words.spellings), list(words.spellings.values()))


def _tidy(name: pl.Expr) -> pl.Expr:
    return (
        name.str.replace_all(r"\s*-+(?:\s+|$)|^-+", " ")
        .str.replace_all(r"\s+", " ")
        .str.strip_chars(" -,;:./&")
    )
