"""The real years behind the shifted dates: anchor groups, and which ICD revision was in use."""

from __future__ import annotations

import numpy as np

from ehrlich.charts.hospital.arrays import Bools, Ints
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import Scene

ICD_TEN_FROM = 2015.75


def anchor_group(scene: Scene) -> Ints:
    """Row of places.anchor_year_groups of each subject."""
    weights = np.array(list(scene.arrays.book.places.anchor_year_groups.values()))
    place = (scene.subject_id * 7919 % 10_007) / 10_007
    return np.asarray(np.searchsorted((weights / weights.sum()).cumsum(), place))


def icd_ten(scene: Scene) -> Bools:
    """Which encounters were coded in ICD-10: those after September 2015."""
    names = list(scene.arrays.book.places.anchor_year_groups)
    middle = np.array([int(name[:4]) + 1.5 for name in names])[anchor_group(scene)]
    subject = scene.encounters.subject
    years = (scene.encounters.start_s - scene.subjects.start_s[subject]) / (365.25 * DAY_S)
    return np.asarray(middle[subject] + years >= ICD_TEN_FROM)
