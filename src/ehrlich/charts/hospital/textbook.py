"""The textbook as data: what its YAML may say, and the loader that checks its references.

First in the hospital's flow: `load_textbook()` -> population -> course -> records -> files.
Every relation (condition - finding - treatment) is a field here, so the same files are a
knowledge graph. Catalogs say what exists (labs, drugs, places), conditions say what it means.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from ehrlich.base.config import Location, Model, load_yaml, validate
from ehrlich.base.errors import ConfigError
from ehrlich.charts.hospital.catalog import (
    Allergy,
    Antibiotic,
    Drug,
    DrugGroup,
    Exam,
    Hcpcs,
    IcdTitle,
    IcuItem,
    Lab,
    LabFinding,
    Organism,
    Places,
    Probability,
    Specimen,
    Vital,
)

TEXTBOOK = Path(__file__).parent / "textbook"
ItemT = TypeVar("ItemT", bound=Model)


class VitalFinding(Model):
    """A vital sign moves by `size` standard deviations at severity 3."""

    direction: Literal["high", "low"]
    size: float = Field(gt=0)
    p: Probability = Field(default=1.0, ge=0, le=1)


class OrganismFinding(Model):
    """A specimen grows an organism with probability p."""

    organism: str
    specimen: str
    p: Probability = Field(ge=0, le=1)


class ImagingFinding(Model):
    """An examination shows something with probability p."""

    exam: str
    finding: str
    p: Probability = Field(default=1.0, ge=0, le=1)


Phrase = str | tuple[str, ...]  # words for one patient; several are alternatives


class Findings(Model):
    """What a condition looks like; `some_`: what only a minority has."""

    labs: dict[str, LabFinding] = {}
    vitals: dict[str, VitalFinding] = {}
    organisms: tuple[OrganismFinding, ...] = ()
    imaging: tuple[ImagingFinding, ...] = ()
    symptoms: tuple[Phrase, ...] = ()
    exam: tuple[Phrase, ...] = ()
    some_symptoms: tuple[Phrase, ...] = ()
    some_exam: tuple[Phrase, ...] = ()


class Treatment(Model):
    """A drug given for a condition: how often, from which severity, when and for how long."""

    drug: str
    p: Probability = Field(default=1.0, ge=0, le=1)
    from_severity: float = 0
    delay_h: float = 2
    days: float = 5
    home: bool = False


class Procedure(Model):
    """A coded procedure; `item` is the procedureevents item when it is done in the ICU."""

    icd10: str
    icd9: str
    title: str
    p: Probability = Field(ge=0, le=1)
    from_severity: float = 0
    item: str | None = None


class Complication(Model):
    """A condition that may start during the stay: risk per day while severity is 3 or more."""

    condition: str
    per_day: Probability = Field(ge=0, le=1)
    from_severity: float = 2


class Support(Model):
    """An organ support: given from a severity, with a probability."""

    from_severity: float = 4
    p: Probability = Field(default=0.0, ge=0, le=1)


class IcuCare(Model):
    """Organ supports of a condition in intensive care."""

    vent: Support = Support()
    pressor: Support = Support()
    crrt: Support = Support(from_severity=5)


class Age(Model):
    """Age at presentation, in years."""

    mean: float
    sd: float = Field(gt=0)


class Severity(Model):
    """Severity at presentation on the scale from 0 (well) to 5 (dying)."""

    mean: float
    sd: float = Field(gt=0)


class Drift(Model):
    """Levels a day: how fast it gets better, worse, and kills at level 5."""

    improve_per_day: float = Field(gt=0)
    worsen_per_day: float = Field(ge=0)
    death_at_5_per_day: float = Field(ge=0)


class Condition(Model):
    """One disease: who has it, what it looks like, how it is treated, how it goes."""

    key: str
    title: str
    also: tuple[str, ...] = ()
    icd10: tuple[str, ...] = Field(min_length=1)
    icd9: tuple[str, ...] = Field(min_length=1)
    kind: Literal["acute", "chronic"]
    services: tuple[str, ...] = ("MED",)
    chief_complaints: tuple[str, ...] = ()
    weight: float = Field(default=0, ge=0)
    age: Age
    female: Probability = Field(default=0.5, ge=0, le=1)
    elective: Probability = Field(default=0, ge=0, le=1)
    admit: Probability = Field(default=0.5, ge=0, le=1)
    severity: Severity
    drift: Drift
    comorbid: dict[str, Probability] = {}
    risk_factors: dict[str, float] = {}
    complications: tuple[Complication, ...] = ()
    findings: Findings = Findings()
    tests: tuple[str, ...] = ()
    treatments: tuple[Treatment, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    icu: IcuCare = IcuCare()
    discharge_drugs: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()  # conditions that nobody has beside this one
    avoid_drugs: tuple[str, ...] = ()  # home drugs held (acute) or not taken (chronic)
    readmit_30d: Probability = Field(default=0.1, ge=0, le=1)
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Textbook:
    """Everything the hospital knows, by key and in file order; every reference resolves."""

    conditions: Mapping[str, Condition]
    labs: Mapping[str, Lab]
    vitals: Mapping[str, Vital]
    icu_items: Mapping[str, IcuItem]
    drugs: Mapping[str, Drug]
    drug_groups: Mapping[str, DrugGroup]
    allergies: Mapping[str, Allergy]
    organisms: Mapping[str, Organism]
    antibiotics: Mapping[str, Antibiotic]
    specimens: Mapping[str, Specimen]
    exams: Mapping[str, Exam]
    hcpcs: Mapping[str, Hcpcs]
    titles: Mapping[tuple[int, str], str]
    places: Places

    def labs_of(self, test: str) -> tuple[str, ...]:
        """Keys of the labs that an order for a panel or a single lab measures."""
        if test in self.labs:
            return (test,)
        return tuple(key for key, lab in self.labs.items() if lab.panel == test)


@lru_cache(maxsize=4)
def load_textbook(folder: Path | None = None) -> Textbook:
    """Every YAML file of `folder` (default: the shipped one) merged and checked, or ConfigError."""
    root = folder or TEXTBOOK
    catalog = root / "catalog"
    organisms, antibiotics = _read_organisms(catalog / "organisms.yaml")
    conditions: dict[str, Condition] = {}
    places: dict[str, str] = {}
    for path in sorted((root / "conditions").glob("*.yaml")):
        for place, condition in _read(Condition, path):
            _put(conditions, condition.key, condition, place)
            places[condition.key] = place
    document, lines = load_yaml(catalog / "places.yaml")
    book = Textbook(
        conditions=conditions,
        labs=_by_key(Lab, catalog / "labs.yaml"),
        vitals=_by_key(Vital, catalog / "vitals.yaml"),
        icu_items=_by_key(IcuItem, catalog / "icu_items.yaml"),
        drugs=_by_key(Drug, catalog / "drugs.yaml"),
        drug_groups=_by_key(DrugGroup, catalog / "drug_groups.yaml"),
        allergies=_by_key(Allergy, catalog / "allergies.yaml"),
        organisms=organisms,
        antibiotics=antibiotics,
        specimens=_by_key(Specimen, catalog / "specimens.yaml"),
        exams=_by_key(Exam, catalog / "exams.yaml"),
        hcpcs=_by_key(Hcpcs, catalog / "hcpcs.yaml"),
        titles={
            (t.version, t.code): t.title for _, t in _read(IcdTitle, catalog / "icd_titles.yaml")
        },
        places=validate(Places, document, where=str(catalog / "places.yaml"), lines=lines),
    )
    _check_references(book, places)
    return book


def _items(
    path: Path, document: object, lines: Mapping[Location, int]
) -> Iterator[tuple[str, Any, dict[Location, int]]]:
    """(place, item, lines below the item) of a YAML list."""
    if not isinstance(document, list):
        raise ConfigError("is not a list", where=str(path), expected="a YAML list of items")
    below: list[dict[Location, int]] = [{} for _ in document]
    for location, line in lines.items():
        if location and isinstance(location[0], int):
            below[location[0]][location[1:]] = line
    for item, inner in zip(document, below, strict=True):
        yield f"{path}, line {inner.get((), 0)}", item, inner


def _read(model: type[ItemT], path: Path) -> Iterator[tuple[str, ItemT]]:
    document, lines = load_yaml(path)
    for place, item, inner in _items(path, document, lines):
        yield place, validate(model, item, where=str(path), lines=inner)


def _by_key(model: type[ItemT], path: Path) -> dict[str, ItemT]:
    found: dict[str, ItemT] = {}
    for place, item in _read(model, path):
        _put(found, str(getattr(item, "key", "")), item, place)
    return found


def _put(found: dict[str, ItemT], key: str, item: ItemT, place: str) -> None:
    if key in found:
        raise ConfigError(
            f"the key '{key}' stands twice", where=place, do="Keys are unique in a catalog."
        )
    found[key] = item


def _read_organisms(path: Path) -> tuple[dict[str, Organism], dict[str, Antibiotic]]:
    """The two lists of organisms.yaml: organisms, and the antibiotics tested against them."""
    document, lines = load_yaml(path)
    if not isinstance(document, dict) or set(document) != {"organisms", "antibiotics"}:
        raise ConfigError("has other parts", where=str(path), expected="organisms and antibiotics")
    below = {
        part: {loc[1:]: line for loc, line in lines.items() if loc and loc[0] == part}
        for part in document
    }
    organisms: dict[str, Organism] = {}
    antibiotics: dict[str, Antibiotic] = {}
    for place, item, inner in _items(path, document["organisms"], below["organisms"]):
        organism = validate(Organism, item, where=str(path), lines=inner)
        _put(organisms, organism.key, organism, place)
    for place, item, inner in _items(path, document["antibiotics"], below["antibiotics"]):
        antibiotic = validate(Antibiotic, item, where=str(path), lines=inner)
        _put(antibiotics, antibiotic.key, antibiotic, place)
    return organisms, antibiotics


def _check_references(book: Textbook, places: Mapping[str, str]) -> None:
    for organism in book.organisms.values():
        _known(organism.antibiotics, book.antibiotics, "antibiotic", f"organism {organism.key}")
    for drug in book.drugs.values():
        _known(
            [drug.icu_item] if drug.icu_item else [], book.icu_items, "ICU item", f"drug {drug.key}"
        )
        _known(drug.labs, book.labs, "lab", f"drug {drug.key}")
    for bill in book.hcpcs.values():
        _known(bill.conditions, book.conditions, "condition", f"hcpcs {bill.key}")
    classes = {drug.drug_class for drug in book.drugs.values()}
    for name, wanted in (
        *((g.key, g.classes) for g in book.drug_groups.values()),
        *((a.key, a.classes) for a in book.allergies.values()),
    ):
        _known(wanted, classes, "drug class", name)
    for standing in book.places.standing_drugs:
        _known(
            [standing.drug, *standing.not_with], book.drugs, "drug", "places.yaml, standing_drugs"
        )
    tests = {*book.labs, *(lab.panel for lab in book.labs.values())}
    for condition in book.conditions.values():
        place = places[condition.key]
        for kind, names, known in _references(book, condition):
            _known(names, known, kind, f"{place}, condition {condition.key}")
        _known(condition.tests, tests, "panel or lab", f"{place}, condition {condition.key}")
        _known(
            condition.services,
            book.places.services,
            "service",
            f"{place}, condition {condition.key}",
        )


def _references(book: Textbook, of: Condition) -> list[tuple[str, Iterable[str], Iterable[str]]]:
    """(kind, the names a condition uses, the names there are)."""
    seen = of.findings
    drugs = [*(t.drug for t in of.treatments), *of.discharge_drugs, *of.avoid_drugs]
    others = [*of.comorbid, *of.risk_factors, *of.replaces]
    others += [c.condition for c in of.complications]
    return [
        ("lab", seen.labs, book.labs),
        ("vital sign", seen.vitals, book.vitals),
        ("organism", (o.organism for o in seen.organisms), book.organisms),
        ("specimen", (o.specimen for o in seen.organisms), book.specimens),
        ("exam", (i.exam for i in seen.imaging), book.exams),
        ("drug", drugs, book.drugs),
        ("condition", others, book.conditions),
        ("ICU item", (p.item for p in of.procedures if p.item), book.icu_items),
        ("ICD-10 title", of.icd10, [code for version, code in book.titles if version == 10]),
        ("ICD-9 title", of.icd9, [code for version, code in book.titles if version == 9]),
    ]


def _known(names: Iterable[str], known: Iterable[str], kind: str, where: str) -> None:
    have: Sequence[str] = list(known)
    for name in names:
        if name not in have:
            near = difflib.get_close_matches(name, have, n=3, cutoff=0.5)
            hint = f"Did you mean {', '.join(near)}?" if near else ""
            raise ConfigError(f"no {kind} has the key '{name}'", where=where, do=hint)
