"""Blood pressures that fit each other: by cuff and in the artery, upper, lower and mean."""

from __future__ import annotations

import numpy as np

from ehrlich.charts.hospital.arrays import Bools, Floats, Ints
from ehrlich.charts.hospital.records.emergency import vital_values
from ehrlich.charts.hospital.records.lab_values import Effects
from ehrlich.charts.hospital.scene import Scene

MEAN_AIM = 68  # what vasopressors are titrated to


def charted_pressures(
    scene: Scene,
    effects: Effects,
    *,
    asked: tuple[Ints, Ints],
    titrated: Bools,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """The six pressures at (encounter, second); `titrated`: where a vasopressor runs."""
    n = len(asked[0])
    sbp = vital_values(scene, effects, asked=asked, key="sbp", rng=rng)
    dbp = vital_values(scene, effects, asked=asked, key="dbp", rng=rng)
    line = rng.normal(0, 4, scene.n)[asked[0]]  # what this transducer shows more
    found: dict[str, Floats] = {}
    for tail, more, less in (("", 0.0, 0.0), ("_arterial", line + rng.normal(0, 4, n), 3.0)):
        upper = np.maximum(sbp + more, 45).round()
        lower = np.clip(dbp - less + 0.4 * more, 22, 0.75 * upper).round()
        short = np.maximum(MEAN_AIM + rng.normal(0, 4, n) - (upper + 2 * lower) / 3, 0)
        lift = np.where(titrated, 0.85 * short, 0.0)
        upper, lower = (upper + 1.3 * lift).round(), (lower + 0.85 * lift).round()
        found |= {f"sbp{tail}": upper, f"dbp{tail}": lower}
        found[f"map{tail}"] = np.round((upper + 2 * lower) / 3 + rng.normal(0, 0.8, n))
    return found
