"""What the catalogs may say: labs, vital signs, ICU items, drugs, organisms, exams, places.

Each class is one row of a file in `textbook/catalog`; `textbook.py` loads and cross-checks them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ehrlich.base.config import Model

Probability = float


class LabFinding(Model):
    """A lab moves by `size` standard deviations at severity 3, in a share `p` of patients."""

    direction: Literal["high", "low"]
    size: float = Field(gt=0)
    p: Probability = Field(default=1.0, ge=0, le=1)


class Lab(Model):
    """A laboratory test. `label` and `itemid` are those of d_labitems; refer to it by `key`."""

    key: str
    itemid: int
    label: str
    fluid: str
    category: str
    panel: str
    unit: str | None = None
    mean: float
    sd: float = Field(gt=0)
    log: bool = False
    ref_low: float | None = None
    ref_high: float | None = None
    decimals: int = 1
    turnaround_h: float = 1.5


class Vital(Model):
    """A vital sign: its chartevents item and, where the ED records it, the ED column."""

    key: str
    itemid: int
    label: str
    abbreviation: str
    unitname: str | None = None
    category: str
    mean: float
    sd: float = Field(gt=0)
    low: float
    high: float
    ed_column: str | None = None


class IcuItem(Model):
    """Any other row of d_items. `values`: texts it takes; `every_h`: how often it is charted."""

    key: str
    itemid: int
    label: str
    abbreviation: str
    linksto: Literal[
        "chartevents",
        "inputevents",
        "ingredientevents",
        "outputevents",
        "procedureevents",
        "datetimeevents",
    ]
    category: str
    unitname: str | None = None
    param_type: str
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    every_h: float | None = None
    when: Literal["always", "vent", "pressor", "crrt", "line", "foley", "pain"] = "always"
    order: str | None = None
    rate: float | None = None
    rate_unit: str | None = None


class Drug(Model):
    """A drug as the pharmacy knows it. `icu_item`: the inputevents item when it is infused.

    `labs`: how it moves laboratory values of those who take it at home (the size of their own).
    """

    key: str
    name: str
    drug_class: str = Field(alias="class")
    formulary_cd: str | None = None
    gsn: str | None = None
    ndc: str | None = None
    strength: str | None = None
    form: str | None = None
    route: str
    dose: str | float | int
    dose_unit: str
    frequency: str = "DAILY"
    per_24h: float | None = None
    icu_item: str | None = None
    pyxis: bool = False
    home: bool = False
    proc_type: str = "Unit Dose"
    labs: dict[str, LabFinding] = {}


class DrugGroup(Model):
    """Classes of drugs of which a person gets one at a time."""

    key: str
    classes: tuple[str, ...] = Field(min_length=1)


class Allergy(Model):
    """An allergy as it is recorded, the share of people who have it, and what it rules out."""

    key: str
    name: str
    share: Probability = Field(ge=0, le=1)
    classes: tuple[str, ...] = ()


class Hcpcs(Model):
    """A code of an outpatient bill: of stays under observation, or of stays for `conditions`."""

    key: str
    code: str
    long: str
    short: str
    observed: bool = False
    direct: bool = False
    conditions: tuple[str, ...] = ()
    p: Probability = Field(ge=0, le=1)


class IcdTitle(Model):
    """One row of d_icd_diagnoses."""

    version: Literal[9, 10]
    code: str
    title: str


class Organism(Model):
    """An organism and how often it resists each antibiotic tested against it."""

    key: str
    itemid: int
    name: str
    gram: str | None = None
    antibiotics: dict[str, Probability] = {}


class Antibiotic(Model):
    """An antibiotic of the susceptibility panel."""

    key: str
    itemid: int
    name: str
    breakpoint: float


class Specimen(Model):
    """What is sent to microbiology and the test done on it."""

    key: str
    spec_itemid: int
    spec_type_desc: str
    test_itemid: int
    test_name: str
    lag_h: float
    negative: str
    routine: Probability = 0.0


class Exam(Model):
    """A radiology examination and what it says when nothing is found."""

    key: str
    exam_name: str
    exam_code: str
    cpt: str
    modality: str
    region: str
    technique: str
    normal_findings: str
    normal_impression: str
    order_subtype: str


class CareUnit(Model):
    """A ward or an intensive care unit and the services that use it."""

    name: str
    kind: Literal["ward", "icu", "ed", "other"]
    services: tuple[str, ...] = ()
    weight: float = 1.0


class OrderKind(Model):
    """A kind of provider order that is not a drug or a lab test, and how often it is written."""

    order_type: str
    order_subtype: str | None = None
    per_day: float = 0.0
    per_stay: float = 0.0
    icu_per_day: float = 0.0
    field: str | None = None
    values: tuple[str, ...] = ()


class StandingDrug(Model):
    """A drug that a stay brings whatever the disease; left out beside any drug of `not_with`."""

    drug: str
    where: Literal["any", "ward", "icu", "vent", "pressor"]
    p: Probability
    days: float
    not_with: tuple[str, ...] = ()


class Places(Model):
    """Where people come from, lie, and go; and who they are. Values are relative weights."""

    careunits: tuple[CareUnit, ...]
    services: dict[str, str]
    admission_types: dict[str, float]
    planned_types: dict[str, float]
    admission_locations: dict[str, float]
    planned_locations: dict[str, float]
    discharge_locations: dict[str, float]
    ed_dispositions: dict[str, float]
    arrival_transports: dict[str, float]
    insurance: dict[str, float]
    races: dict[str, float]
    marital: dict[str, float]
    anchor_year_groups: dict[str, float]
    standing_drugs: tuple[StandingDrug, ...]
    orders: tuple[OrderKind, ...]
