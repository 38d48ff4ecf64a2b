"""Which results hang together, and what the analyser computes from others of the same moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ehrlich.charts.hospital.arrays import Floats, Ints

# Who shows the first shows it because of the second.
LINKED = {
    "inr": "pt",
    "hematocrit": "hemoglobin",
    "rbc": "hemoglobin",
    "ast": "alt",
    "total_co2": "bicarbonate",
    "anion_gap": "bicarbonate",
    "ph": "bicarbonate",
    "base_excess": "bicarbonate",
    "lactate": "bicarbonate",
    "urea_nitrogen": "creatinine",
    "iron": "ferritin",
    "mcv": "ferritin",
    "ldl": "cholesterol_total",
}
# The same thing measured in another tube moves with it.
TWINS = {
    "total_co2": "bicarbonate",
    "potassium_wb": "potassium",
    "sodium_wb": "sodium",
    "glucose_wb": "glucose",
    "hemoglobin_wb": "hemoglobin",
    "rdw_sd": "rdw",
}
DIFFERENTIAL = ("neutrophils", "lymphocytes", "monocytes", "eosinophils", "basophils")
# What is compatible with a living patient.
POSSIBLE = {
    "glucose": (18.0, 1150.0),
    "glucose_wb": (18.0, 1150.0),
    "sodium": (102.0, 176.0),
    "sodium_wb": (102.0, 176.0),
    "potassium": (1.8, 8.9),
    "potassium_wb": (1.8, 8.9),
    "bicarbonate": (4.0, 48.0),
    "total_co2": (4.0, 50.0),
    "anion_gap": (4.0, 42.0),
    "creatinine": (0.2, 16.0),
    "urea_nitrogen": (3.0, 190.0),
    "pco2": (12.0, 120.0),
    "po2": (28.0, 480.0),
    "hemoglobin": (4.0, 20.0),
    "hemoglobin_wb": (4.0, 20.0),
    "mcv": (58.0, 126.0),
    "mchc": (29.5, 36.8),
    "hba1c": (4.0, 15.8),
    "crp": (0.1, 480.0),
    "ethanol": (0.0, 560.0),
    "ntprobnp": (5.0, 70_000.0),
    "bilirubin_total": (0.1, 45.0),
    "urine_glucose": (0.0, 1300.0),
    "urine_ketone": (0.0, 160.0),
    "d_dimer": (100.0, 24_000.0),
    "ck": (10.0, 120_000.0),
    "hcg": (0.0, 180_000.0),
    "acetaminophen_level": (0.0, 420.0),
    "esr": (1.0, 145.0),
    "beta_hydroxybutyrate": (0.0, 14.0),
    "wbc": (0.1, 95.0),
    "platelets": (5.0, 1300.0),
    "lactate": (0.4, 20.0),
    "albumin": (1.0, 5.6),
    "calcium": (5.0, 16.0),
    "magnesium": (0.7, 5.0),
    "phosphate": (0.8, 12.0),
    "pt": (9.0, 95.0),
    "ptt": (19.0, 150.0),
    "tsh": (0.01, 95.0),
    "uric_acid": (1.0, 18.0),
}
CO2_SOLUBILITY, CO2_PK = 0.0307, 6.1


def _tamed(x: Floats) -> Floats:
    """x at first, never more than 1."""
    return np.asarray(np.log1p(x) / (1 + np.log1p(x)))


def below(value: Floats, most: Floats) -> Floats:
    """Values that approach a maximum instead of piling up on it."""
    knee = 0.7 * most
    room = most - knee
    excess = np.maximum(value - knee, 0) / np.maximum(room, 1e-9)
    return np.asarray(np.where(value > knee, knee + room * _tamed(excess), value))


def bicarbonate_of(total_co2: Floats, pco2: Floats) -> Floats:
    """Bicarbonate in mmol/L: total CO2 without what is dissolved."""
    return np.asarray(np.maximum(total_co2 - CO2_SOLUBILITY * pco2, 2.0))


def acidity(pco2: Floats, total_co2: Floats) -> Floats:
    """pH by Henderson and Hasselbalch.

    >>> float(acidity(np.array([40.0]), np.array([25.2])).round(2)[0])
    7.39
    """
    ratio = bicarbonate_of(total_co2, pco2) / (CO2_SOLUBILITY * pco2)
    return np.asarray(np.clip(CO2_PK + np.log10(ratio), 6.8, 7.75))


def _breathed(total_co2: Floats, pco2: Floats) -> Floats:
    """pCO2 after breathing against a lack of bicarbonate, by who still can."""
    aim = 40 + 1.1 * (total_co2 - 26)
    lower = np.minimum(pco2, 0.3 * pco2 + 0.7 * aim)
    return np.asarray(np.clip(np.where((total_co2 < 24) & (pco2 < 45), lower, pco2), 10, None))


def _excess(ph: Floats, pco2: Floats, total_co2: Floats) -> Floats:
    return np.asarray(0.93 * (bicarbonate_of(total_co2, pco2) - 24.4 + 14.8 * (ph - 7.4)))


def _saturation(po2: Floats) -> Floats:
    """Saturation of haemoglobin in percent at a pO2, from a Hill curve (P50 26.8, n 2.7)."""
    return np.asarray(100 / (1 + (26.8 / po2) ** 2.7))


Formula = Callable[..., Any]
# Target, what it is computed from, how; in this order.
_DERIVED: tuple[tuple[str, tuple[str, ...], Formula], ...] = (
    ("hematocrit", ("hemoglobin", "mchc"), lambda hb, mchc: 100 * hb / mchc),
    ("rbc", ("hematocrit", "mcv"), lambda hct, mcv: 10 * hct / np.maximum(mcv, 50)),
    ("mch", ("hemoglobin", "rbc"), lambda hb, rbc: 10 * hb / np.maximum(rbc, 0.5)),
    (
        "chloride",
        ("sodium", "bicarbonate", "anion_gap"),
        lambda na, co2, gap: np.round(na) - np.round(co2) - np.round(gap),
    ),
    ("inr", ("pt",), lambda pt: np.maximum(pt / 11.6, 0.8)),
    ("absolute_neutrophils", ("wbc", "neutrophils"), lambda wbc, share: wbc * share / 100),
    ("absolute_lymphocytes", ("wbc", "lymphocytes"), lambda wbc, share: wbc * share / 100),
    ("pco2", ("total_co2", "pco2"), _breathed),
    ("ph", ("pco2", "total_co2"), acidity),
    ("base_excess", ("ph", "pco2", "total_co2"), _excess),
    ("oxygen_saturation", ("po2",), _saturation),
)


def _places(names: tuple[str, ...], moment: Ints, lab: Ints, keys: list[str]) -> Ints:
    """Rows of the named labs at each moment that has them all (names x moments)."""
    where = np.full((len(names), int(moment[-1]) + 1 if len(moment) else 0), -1)
    for line, name in enumerate(names):
        mine = np.flatnonzero(lab == keys.index(name)) if name in keys else lab[:0]
        where[line, moment[mine]] = mine
    return np.asarray(where[:, (where >= 0).all(axis=0)])


def agreeing(value: Floats, moment: Ints, *, lab: Ints, keys: list[str]) -> Floats:
    """Values with derived results recomputed where all their parts were measured."""
    value = value.copy()
    shares = _places(DIFFERENTIAL, moment, lab, keys)
    value[shares] *= 100 / np.maximum(value[shares].sum(axis=0), 1.0)
    for target, sources, formula in _DERIVED:
        names = (target, *(s for s in sources if s != target))
        rows = dict(zip(names, _places(names, moment, lab, keys), strict=True))
        value[rows[target]] = formula(*(value[rows[source]] for source in sources))
    return value


def whole_gap(value: Floats, moment: Ints, *, lab: Ints, keys: list[str]) -> Floats:
    """Rounded values in which anion gap = sodium - chloride - bicarbonate, as printed."""
    names = ("anion_gap", "sodium", "chloride", "bicarbonate")
    gap, sodium, chloride, bicarbonate = _places(names, moment, lab, keys)
    value[gap] = value[sodium] - value[chloride] - value[bicarbonate]
    return value
