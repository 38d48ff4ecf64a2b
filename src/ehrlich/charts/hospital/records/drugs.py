"""Which drugs are ordered, for what, from when to when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehrlich.charts.hospital.arrays import LEVELS, Bools, Floats, Ints
from ehrlich.charts.hospital.catalog import StandingDrug
from ehrlich.charts.hospital.course import HOUR_S, ICU
from ehrlich.charts.hospital.records.choices import (
    allergies_of,
    avoided,
    groups_of,
    home_groups_of,
    one_of_each,
    ruled_out,
)
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import COMORBID, Scene
from ehrlich.charts.hospital.textbook import Treatment

HOME_CONTINUED = 0.88


@dataclass(frozen=True, slots=True)
class DrugOrders:
    """One row an order; `condition` is what it is for (-1: nothing in particular)."""

    encounter: Ints
    drug: Ints
    condition: Ints
    start_s: Ints
    stop_s: Ints


@dataclass(frozen=True, slots=True)
class HomeDrugs:
    """Drugs that people take at home, one row a drug of an encounter, and what for."""

    encounter: Ints
    drug: Ints
    condition: Ints
    held: Bools  # not given while the acute problem lasts


@dataclass(frozen=True, slots=True)
class Medication:
    """All that is decided about drugs in a block."""

    orders: DrugOrders
    ed_doses: DrugOrders  # given in the ED, before any admission
    home: HomeDrugs
    allergies: Bools  # subjects x allergies
    never: Bools  # encounters x drugs: what an allergy forbids


def medication(scene: Scene, rng: np.random.Generator) -> Medication:
    """Orders of inpatients, doses of the ED, and home drugs."""
    reached = _first_reached(scene)
    allergies = allergies_of(scene, rng)
    never = ruled_out(scene, allergies)
    home = _home_drugs(scene, never, rng)
    treated = _treatments(scene, reached, rng)
    treated, rank = _allowed(scene, treated, never, rng.random(len(treated[0])))
    continued = _continued(scene, home, rng)
    standing = _standing(scene, _joined([treated, continued]), rng)
    columns = _joined([treated, continued, *standing])
    # What is acute comes before what was taken at home, and that before what any stay brings.
    later = np.full(len(columns[0]) - len(rank) - len(continued[0]), 2.0)
    rank = np.concatenate([rank, np.full(len(continued[0]), 1.0), later])
    columns, _ = _allowed(scene, columns, never, rank)
    orders = _inpatient(scene, columns, rng)
    return Medication(orders, _ed_doses(scene, treated), home, allergies, never)


Columns = tuple[Ints, Ints, Ints, Ints, Ints]  # encounter, drug, condition, start, stop


def _first_reached(scene: Scene) -> Ints:
    """Second at which each encounter first reached each severity (n x LEVELS), or -1."""
    encounter = np.repeat(np.arange(scene.n), np.diff(scene.hours_from))
    hour = np.arange(len(encounter)) - scene.hours_from[:-1][encounter]
    first = np.full((scene.n, LEVELS), -1)
    for level in range(LEVELS):
        rows = np.flatnonzero(scene.severity >= level)[::-1]
        first[encounter[rows], level] = (
            hour[rows] * HOUR_S + scene.encounters.start_s[encounter[rows]]
        )
    return first


def _treatments(scene: Scene, reached: Ints, rng: np.random.Generator) -> Columns:
    """What principal problems, complications and comorbidities are treated with."""
    book, problems = scene.arrays.book, scene.problems
    drugs = {key: row for row, key in enumerate(book.drugs)}
    # Sedation and vasopressors come with the support itself, not with a severity.
    standing = book.places.standing_drugs
    supported = {d.drug for d in standing if d.where in ("vent", "pressor")}
    parts: list[Columns] = []
    for row, condition in enumerate(book.conditions.values()):
        mine = np.flatnonzero(problems.condition == row)
        if not mine.size:
            continue
        for treatment in condition.treatments:
            if treatment.drug not in supported:
                what = (row, drugs[treatment.drug], treatment)
                parts.append(_treated(scene, mine, what, reached, rng))
    return _joined(parts)


def _allowed(scene: Scene, columns: Columns, never: Bools, rank: Floats) -> tuple[Columns, Floats]:
    """Orders without what an allergy forbids and without second choices, and their ranks."""
    fine = np.flatnonzero(~never[columns[0], columns[1]])
    who, drug, condition, start, stop = (c[fine] for c in columns)
    group = groups_of(scene.arrays.book)[drug]
    kept = one_of_each(who, group, rank=rank[fine])
    return (who[kept], drug[kept], condition[kept], start[kept], stop[kept]), rank[fine][kept]


def _treated(
    scene: Scene,
    mine: Ints,
    what: tuple[int, int, Treatment],
    reached: Ints,
    rng: np.random.Generator,
) -> Columns:
    condition, drug, treatment = what
    problems = scene.problems
    who, role = problems.encounter[mine], problems.role[mine]
    since = reached[who, int(np.ceil(treatment.from_severity))]
    chosen = (rng.random(len(mine)) < treatment.p) & (since >= 0)
    # Old diseases bring their standing treatment, not the one of an acute attack.
    chosen &= (
        (role != COMORBID) if treatment.home else (role != COMORBID) | (treatment.from_severity < 1)
    )
    who, since = who[chosen], since[chosen]
    delay = treatment.delay_h * HOUR_S * rng.lognormal(0, 0.35, len(who))
    start = np.maximum(problems.onset_s[mine][chosen], since) + delay.astype(np.int64)
    stop = start + (treatment.days * DAY_S * rng.uniform(0.8, 1.25, len(who))).astype(np.int64)
    n = len(who)
    return who, np.full(n, drug), np.full(n, condition), start, stop


def _joined(parts: list[Columns]) -> Columns:
    empty = (np.zeros(0, np.int64),) * 5
    first, *rest = (np.concatenate(c) for c in zip(*(parts or [empty]), strict=True))
    return (first, rest[0], rest[1], rest[2], rest[3])


def _home_drugs(scene: Scene, never: Bools, rng: np.random.Generator) -> HomeDrugs:
    """Each chronic disease's home treatment; a person takes the same drugs at every visit."""
    forbidden, held = avoided(scene)
    preference = rng.random((len(scene.subject_id), len(scene.arrays.book.drugs)))
    book = scene.arrays.book
    drugs = {key: row for row, key in enumerate(book.drugs)}
    who: list[Ints] = []
    what: list[Ints] = []
    why: list[Ints] = []
    for row, condition in enumerate(book.conditions.values()):
        for treatment in condition.treatments:
            takes = rng.random(len(scene.subject_id)) < treatment.p
            if treatment.home:
                have = np.flatnonzero(
                    scene.encounters.chronic[:, row] & takes[scene.encounters.subject]
                )
                who.append(have)
                what.append(np.full(len(have), drugs[treatment.drug]))
                why.append(np.full(len(have), row))
    none = [np.zeros(0, np.int64)]
    pair = np.concatenate(who or none) * len(drugs) + np.concatenate(what or none)
    pair, first = np.unique(pair, return_index=True)
    encounter, drug = pair // len(drugs), pair % len(drugs)
    fine = np.flatnonzero(~(never | forbidden)[encounter, drug])
    rank = preference[scene.encounters.subject[encounter], drug]
    group = home_groups_of(book)[drug]
    kept = fine[one_of_each(encounter[fine], group[fine], rank=rank[fine])]
    reason = np.concatenate(why or none)[first]
    return HomeDrugs(encounter[kept], drug[kept], reason[kept], held[encounter[kept], drug[kept]])


def _continued(scene: Scene, home: HomeDrugs, rng: np.random.Generator) -> Columns:
    """Home drugs that go on in hospital."""
    keep = (rng.random(len(home.encounter)) < HOME_CONTINUED) & scene.admitted[home.encounter]
    keep &= ~home.held
    who, drug = home.encounter[keep], home.drug[keep]
    start = scene.admit_s[who] + 60 * rng.integers(30, 400, len(who))
    return who, drug, np.full(len(who), -1), start, scene.left_s[who] + DAY_S


def _standing(scene: Scene, treated: Columns, rng: np.random.Generator) -> list[Columns]:
    keys = list(scene.arrays.book.drugs)
    parts = []
    for standing in scene.arrays.book.places.standing_drugs:
        who, start, stop = _occasions(scene, standing)
        barred = [keys.index(k) for k in standing.not_with]
        has = np.zeros(scene.n, bool)
        has[treated[0][np.isin(treated[1], barred)]] = True
        keep = (rng.random(len(who)) < standing.p) & ~has[who]
        who, start, stop = (
            who[keep],
            start[keep] + 60 * rng.integers(15, 240, int(keep.sum())),
            stop[keep],
        )
        if standing.where in ("vent", "pressor"):
            start = np.minimum(start, stop - 1800)
        stop = np.minimum(stop, start + int(standing.days * DAY_S))
        n = len(who)
        parts.append((who, np.full(n, keys.index(standing.drug)), np.full(n, -1), start, stop))
    return parts


def _occasions(scene: Scene, standing: StandingDrug) -> tuple[Ints, Ints, Ints]:
    """(encounter, from, to) where a standing drug may be given."""
    if standing.where in ("vent", "pressor"):
        spells = scene.supports[0 if standing.where == "vent" else 1]
        return spells.encounter, spells.start_s - 900, spells.end_s
    if standing.where == "icu":
        rows = np.flatnonzero(scene.places.kind == ICU)
        return scene.places.encounter[rows], scene.places.start_s[rows], scene.places.end_s[rows]
    rows = np.flatnonzero(scene.admitted)
    return rows, scene.admit_s[rows], scene.left_s[rows] + DAY_S


def _inpatient(scene: Scene, columns: Columns, rng: np.random.Generator) -> DrugOrders:
    """Orders inside hospital stays: starts rounded to the next hour, one order a drug at a time."""
    who, drug, condition, start, stop = columns
    book = list(scene.arrays.book.drugs.values())
    start = np.maximum(start, scene.admit_s[who] + 60 * rng.integers(5, 60, len(who)))
    infused = np.array([d.proc_type == "IV Large Volume" for d in book])[drug]
    start = np.where(infused, start // 60 * 60, start // HOUR_S * HOUR_S + HOUR_S)
    once = np.array([d.frequency.startswith("ONCE") for d in book])[drug]
    stop = np.where(once, start + HOUR_S, np.maximum(stop // HOUR_S * HOUR_S, start + HOUR_S))
    keep = scene.admitted[who] & (start < scene.left_s[who])
    order = np.lexsort((start, drug, who))
    order = order[keep[order]]
    who, drug, condition, start, stop = (c[order] for c in (who, drug, condition, start, stop))
    repeated = np.zeros(len(who), bool)
    repeated[1:] = (np.diff(who) == 0) & (np.diff(drug) == 0) & (start[1:] < stop[:-1])
    fresh = ~repeated
    return DrugOrders(who[fresh], drug[fresh], condition[fresh], start[fresh], stop[fresh])


def _ed_doses(scene: Scene, treated: Columns) -> DrugOrders:
    """Drugs of the cabinet that the ED gives before the patient leaves it."""
    who, drug, condition, start, stop = treated
    cabinet = np.array([d.pyxis for d in scene.arrays.book.drugs.values()])[drug]
    keep = cabinet & (scene.ed_id[who] >= 0) & (start < scene.ed_out_s[who])
    order = np.flatnonzero(keep)
    order = order[np.lexsort((start[order], who[order]))]
    return DrugOrders(who[order], drug[order], condition[order], start[order], stop[order])
