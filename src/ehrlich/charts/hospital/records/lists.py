"""Drugs on admission and at discharge, as the numbered lists of a summary."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Bools, Ints
from ehrlich.charts.hospital.records.choices import home_groups_of, one_of_each
from ehrlich.charts.hospital.records.drugs import Medication
from ehrlich.charts.hospital.records.frames import picked
from ehrlich.charts.hospital.scene import Scene

PRESCRIBED = 0.75


def medication_lists(scene: Scene, drugs: Medication, *, rng: np.random.Generator) -> pl.DataFrame:
    """came_with and leaves_with of every encounter that takes something."""
    home = drugs.home
    came = _numbered(scene, (home.encounter, home.drug), home.held & False, "came_with")
    who, drug = _prescribed(scene, drugs, rng)
    both = np.concatenate([who, home.encounter]), np.concatenate([drug, home.drug])
    held = np.concatenate([np.zeros(len(who), bool), home.held])
    rank = np.concatenate([np.zeros(len(who)), np.ones(len(home.drug))])
    # What is new takes the place of what was taken before.
    kept = one_of_each(both[0], home_groups_of(scene.arrays.book)[both[1]], rank=rank)
    pair = both[0][kept] * len(scene.arrays.book.drugs) + both[1][kept]
    kept = kept[np.unique(pair, return_index=True)[1]]
    kept = kept[np.lexsort((kept, held[kept], both[0][kept]))]
    leaves = _numbered(scene, (both[0][kept], both[1][kept]), held[kept], "leaves_with")
    return leaves.join(came, on="encounter", how="full", coalesce=True)


def _prescribed(scene: Scene, drugs: Medication, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """(encounter, drug) of what the condition adds at discharge."""
    keys = list(scene.arrays.book.drugs)
    given = [
        [keys.index(k) for k in c.discharge_drugs] for c in scene.arrays.book.conditions.values()
    ]
    count = np.array([len(x) for x in given])[scene.encounters.condition]
    who = np.repeat(np.arange(scene.n), count)
    drug = np.array([d for e in scene.encounters.condition.tolist() for d in given[e]], np.int64)
    kept = np.flatnonzero((rng.random(len(who)) < PRESCRIBED) & ~drugs.never[who, drug])
    return who[kept], drug[kept]


def _numbered(scene: Scene, rows: tuple[Ints, Ints], held: Bools, name: str) -> pl.DataFrame:
    lines = [
        f"{d.name} {d.dose} {d.dose_unit} {d.route} {d.frequency}"
        for d in scene.arrays.book.drugs.values()
    ]
    names = [d.name for d in scene.arrays.book.drugs.values()]
    frame = pl.DataFrame(
        {
            "encounter": rows[0],
            "line": picked(lines, rows[1]),
            "drug": picked(names, rows[1]),
            "held": held,
        }
    ).sort("encounter", maintain_order=True)
    number = pl.int_range(pl.len()).over("encounter") + 1
    stop = pl.concat_str(
        pl.lit("HELD- "), "line", pl.lit(" This medication was held. Do not restart "), "drug",
        pl.lit(" until your doctor tells you to"),
    )  # fmt: skip
    line = pl.concat_str(number, pl.lit(". "), pl.when("held").then(stop).otherwise("line"))
    return (
        frame.with_columns(line=line)
        .group_by("encounter", maintain_order=True)
        .agg(pl.col("line").str.join("\n").alias(name))
    )
