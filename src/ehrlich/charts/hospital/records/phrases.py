"""Words for one patient: which symptoms and signs of a condition this person has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Ints
from ehrlich.charts.hospital.scene import Scene
from ehrlich.charts.hospital.textbook import Findings, Phrase

TYPICAL, SOME = 0.8, 0.35


@dataclass(frozen=True, slots=True)
class Said:
    """One row a problem that has words: encounter, condition, role, and the list `words`."""

    symptoms: pl.DataFrame
    exam: pl.DataFrame


def said_of(scene: Scene, rng: np.random.Generator) -> Said:
    """Symptoms and signs of every problem of the block; the first of a list is always there."""
    parts = []
    for part in ("symptoms", "exam"):
        listed = [_phrases(c.findings, part) for c in scene.arrays.book.conditions.values()]
        parts.append(_chosen(scene, listed, rng))
    return Said(*parts)


def _phrases(findings: Findings, part: str) -> list[tuple[tuple[str, ...], float]]:
    """(alternatives, how often) of everything a condition says."""
    typical: tuple[Phrase, ...] = getattr(findings, part)
    some: tuple[Phrase, ...] = getattr(findings, f"some_{part}")
    shares = [1.0 if at == 0 else TYPICAL for at in range(len(typical))] + [SOME] * len(some)
    words = [(p,) if isinstance(p, str) else p for p in (*typical, *some)]
    return list(zip(words, shares, strict=True))


def _chosen(
    scene: Scene, listed: list[list[tuple[tuple[str, ...], float]]], rng: np.random.Generator
) -> pl.DataFrame:
    problems, flat = (
        scene.problems,
        [w for phrases in listed for words, _ in phrases for w in words],
    )
    rows: list[Ints] = [np.zeros(0, np.int64)]
    texts: list[Ints] = [np.zeros(0, np.int64)]
    first = 0
    for row, phrases in enumerate(listed):
        mine = np.flatnonzero(problems.condition == row) if phrases else np.zeros(0, np.int64)
        for words, share in phrases:
            here = mine[rng.random(len(mine)) < share]
            rows.append(here)
            texts.append(first + rng.integers(0, len(words), len(here)))
            first += len(words)
    problem, text = np.concatenate(rows), np.concatenate(texts)
    order = np.lexsort((text, problem))
    frame = pl.DataFrame({"row": problem[order], "text": text[order]}).with_columns(
        word=pl.Series(flat, dtype=pl.String).gather(pl.Series(text[order]))
    )
    grouped = frame.group_by("row", maintain_order=True).agg(words=pl.col("word"))
    at = grouped["row"].to_numpy()
    return grouped.select(
        encounter=pl.Series(problems.encounter[at]),
        condition=pl.Series(problems.condition[at]),
        role=pl.Series(problems.role[at]),
        words=pl.col("words"),
    )


def listed_words(words: pl.Expr, most: int) -> pl.Expr:
    """a, b and c, of a column of lists."""
    few = words.list.head(most)
    several = pl.concat_str(
        few.list.head(few.list.len() - 1).list.join(", "), pl.lit(" and "), few.list.last()
    )
    return pl.when(few.list.len() > 1).then(several).otherwise(few.list.first())


def mid_sentence(title: pl.Expr) -> pl.Expr:
    """A title as words inside a sentence: no capital unless it is an acronym or a name."""
    bare = title.str.replace(", planned", "", literal=True)
    lower = pl.concat_str(bare.str.slice(0, 1).str.to_lowercase(), bare.str.slice(1))
    proper = bare.str.contains(r"^([A-Z][^a-z]|Parkinson|Clostridioides)")
    return pl.when(proper).then(bare).otherwise(lower)
