"""Which drugs a person may have together: one of a kind, none of an allergy, none that harms."""

from __future__ import annotations

import numpy as np

from ehrlich.charts.hospital.arrays import Bools, Floats, Ints
from ehrlich.charts.hospital.scene import COMORBID, Scene
from ehrlich.charts.hospital.textbook import Textbook

# Classes of which people do take several at home.
TOGETHER = ("vitamin", "nitrate vasodilator")


def groups_of(book: Textbook) -> Ints:
    """Number of the group that each drug belongs to, or -1."""
    by_class = {c: row for row, g in enumerate(book.drug_groups.values()) for c in g.classes}
    return np.array([by_class.get(d.drug_class, -1) for d in book.drugs.values()], np.int64)


def home_groups_of(book: Textbook) -> Ints:
    """The same for drugs at home, where one of a class is enough even outside the groups."""
    classes = list(dict.fromkeys(d.drug_class for d in book.drugs.values()))
    own = [
        -1 if d.drug_class in TOGETHER else len(book.drug_groups) + classes.index(d.drug_class)
        for d in book.drugs.values()
    ]
    group = groups_of(book)
    return np.where(group >= 0, group, np.array(own, np.int64))


def one_of_each(encounter: Ints, group: Ints, *, rank: Floats) -> Ints:
    """Rows that stay when the lowest rank of each group of an encounter does; -1 is no group.

    >>> one_of_each(np.array([7, 7, 7]), np.array([2, 2, -1]), rank=np.array([0.9, 0.1, 0.5]))
    array([1, 2])
    """
    order = np.argsort(rank, kind="stable")
    key = encounter[order] * (int(group.max(initial=0)) + 1) + group[order]
    _, first = np.unique(key, return_index=True)
    chosen = group < 0
    chosen[order[first]] = True
    return np.flatnonzero(chosen)


def allergies_of(scene: Scene, rng: np.random.Generator) -> Bools:
    """Which allergies each subject has (subjects x allergies)."""
    share = np.array([a.share for a in scene.arrays.book.allergies.values()])
    return np.asarray(rng.random((len(scene.subject_id), len(share))) < share)


def ruled_out(scene: Scene, allergies: Bools) -> Bools:
    """Drugs that each encounter's subject cannot have for an allergy (n x drugs)."""
    book = scene.arrays.book
    bad = np.array(
        [[d.drug_class in a.classes for d in book.drugs.values()] for a in book.allergies.values()]
    )
    return np.asarray(allergies[scene.encounters.subject] @ bad)


def avoided(scene: Scene) -> tuple[Bools, Bools]:
    """Home drugs that old diseases forbid, and those put on hold by what is acute (n x drugs)."""
    book, problems = scene.arrays.book, scene.problems
    keys = list(book.drugs)
    avoid = np.zeros((len(book.conditions), len(keys)), bool)
    for row, condition in enumerate(book.conditions.values()):
        avoid[row, [keys.index(d) for d in condition.avoid_drugs]] = True
    never, held = (np.zeros((scene.n, len(keys)), bool) for _ in range(2))
    old = problems.role == COMORBID
    for found, rows in ((never, np.flatnonzero(old)), (held, np.flatnonzero(~old))):
        np.logical_or.at(found, problems.encounter[rows], avoid[problems.condition[rows]])
    return never, held
