"""patients, admissions, transfers, services, icustays, edstays: where people were, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Ints
from ehrlich.charts.hospital.course import HOUR_S, ICU, WARD
from ehrlich.charts.hospital.records.calendar import anchor_group
from ehrlich.charts.hospital.records.frames import (
    Tables,
    days,
    ids,
    picked,
    providers,
    table,
    times,
    weighted,
)
from ehrlich.charts.hospital.returns import HOME_DEATH
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import BLOCK, STAY_BASE, Scene, scrambled

TRANSFERS_A_SUBJECT = 60


@dataclass(frozen=True, slots=True)
class Stays:
    """ICU stays and what others need of places, one row a spell of `scene.places`."""

    transfer_id: Ints
    icu_row: Ints  # rows of scene.places that are ICU stays
    unit: Ints  # row of places.careunits of each spell
    subject_frame: pl.DataFrame
    encounter_frame: pl.DataFrame


def stay_records(scene: Scene, rng: np.random.Generator) -> tuple[Tables, Stays]:
    """The tables of this module, and the ids that others link to."""
    unit = _units(scene, rng)
    transfer_id = scrambled(
        STAY_BASE, scene.number * BLOCK * TRANSFERS_A_SUBJECT + scene.n + np.arange(len(unit))
    )
    people = _people(scene, rng)
    visits = _visits(scene, rng, people)
    stays = Stays(transfer_id, np.flatnonzero(scene.places.kind == ICU), unit, people, visits)
    return {
        "hosp/patients": _patients(scene, people),
        "hosp/admissions": _admissions(scene, visits),
        "hosp/transfers": _transfers(scene, stays),
        "hosp/services": _services(scene),
        "icu/icustays": _icustays(scene, stays),
        "ed/edstays": _edstays(scene, visits),
    }, stays


def _people(scene: Scene, rng: np.random.Generator) -> pl.DataFrame:
    """What does not change about a person."""
    n, places = len(scene.subject_id), scene.arrays.book.places
    subjects = scene.subjects
    anchor_s = subjects.start_s
    group = picked(list(places.anchor_year_groups), anchor_group(scene))
    age = np.floor(subjects.age0).astype(np.int64)
    insurance = weighted(rng, places.insurance, n=n)
    race = weighted(rng, places.races, n=n)
    return pl.DataFrame(
        {
            "gender": picked(["M", "F"], subjects.female.astype(int)),
            "anchor_age": np.where(age > 89, 91, age),
            "anchor_year": times(anchor_s).dt.year(),
            "anchor_year_group": group,
            "race": race,
            "language": _languages(race, rng),
            "marital_status": weighted(rng, places.marital, n=n),
            "insurance": insurance.scatter(
                pl.Series(np.flatnonzero((age >= 66) & (rng.random(n) < 0.8))), "Medicare"
            ),
        }
    )


# Who may speak another language than English at home, and how often.
SPEAKS = {
    "HISPANIC": ("Spanish", 0.4),
    "ASIAN - CHINESE": ("Chinese", 0.5),
    "ASIAN - SOUTH": ("Vietnamese", 0.3),
    "WHITE - RUSSIAN": ("Russian", 0.7),
    "PORTUGUESE": ("Portuguese", 0.5),
    "WHITE - BRAZILIAN": ("Portuguese", 0.5),
    "BLACK/CAPE": ("Kabuverdianu", 0.5),
    "BLACK/AFRICAN": ("Haitian", 0.03),
    "OTHER": ("Other", 0.1),
}


def _languages(race: pl.Series, rng: np.random.Generator) -> pl.Series:
    draw = pl.Series("draw", rng.random(len(race)))
    spoken = pl.when(False).then(None).otherwise(None).cast(pl.String)
    for start, (language, share) in SPEAKS.items():
        own = pl.col("race").str.starts_with(start) & (pl.col("draw") < share)
        spoken = pl.when(own).then(pl.lit(language)).otherwise(spoken)
    return (
        pl.DataFrame({"race": race, "draw": draw}).select(spoken.fill_null("English")).to_series()
    )


DIRECT_TYPES = ("URGENT", "DIRECT EMER.", "DIRECT OBSERVATION")
EXTENDED = ("SKILLED NURSING FACILITY", "REHAB", "CHRONIC/LONG TERM ACUTE CARE")
FROM_ED = {
    "EMERGENCY ROOM": 0.86,
    "TRANSFER FROM HOSPITAL": 0.05,
    "WALK-IN/SELF REFERRAL": 0.04,
    "PHYSICIAN REFERRAL": 0.05,
}


def _chosen(weights: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float]:
    return {name: weights[name] for name in names}


def _visits(scene: Scene, rng: np.random.Generator, people: pl.DataFrame) -> pl.DataFrame:
    """Types and locations of each encounter."""
    frame = people.select("gender", "race", "language", "marital_status", "insurance").select(
        pl.all().gather(pl.Series(scene.encounters.subject))
    )
    return frame.with_columns(
        admission_type=_types(scene, rng),
        admission_location=_origins(scene, rng),
        discharge_location=_destinations(scene, rng),
        disposition=_disposition(scene, rng),
        arrival_transport=_transport(scene, rng),
        admit_provider_id=providers(rng, scene.n),
    )


def _types(scene: Scene, rng: np.random.Generator) -> pl.Series:
    places, n = scene.arrays.book.places, scene.n
    hours = (scene.left_s - scene.admit_s) / HOUR_S
    observed = rng.random(n)
    direct = _chosen(places.admission_types, DIRECT_TYPES)
    return pl.select(
        pl.when(pl.Series(scene.encounters.planned))
        .then(weighted(rng, places.planned_types, n=n))
        .when(pl.Series(scene.ed_id < 0))
        .then(weighted(rng, direct, n=n))
        .when(pl.Series((hours < 36) & (observed < 0.55)))
        .then(pl.lit("EU OBSERVATION"))
        .when(pl.Series((hours < 72) & (observed < 0.4)))
        .then(pl.lit("OBSERVATION ADMIT"))
        .otherwise(pl.lit("EW EMER."))
    ).to_series()


def _origins(scene: Scene, rng: np.random.Generator) -> pl.Series:
    places, n = scene.arrays.book.places, scene.n
    return pl.select(
        pl.when(pl.Series(scene.encounters.planned))
        .then(weighted(rng, places.planned_locations, n=n))
        .when(pl.Series(scene.ed_id < 0))
        .then(weighted(rng, places.admission_locations, n=n))
        .otherwise(weighted(rng, FROM_ED, n=n))
    ).to_series()


def _destinations(scene: Scene, rng: np.random.Generator) -> pl.Series:
    """Home for most; the old after long stays go on to a facility."""
    days = (scene.left_s - scene.admit_s) / DAY_S
    frail = 1 / (1 + np.exp(-(0.07 * (scene.encounters.age - 78) + 0.25 * (days - 6))))
    onward = rng.random(scene.n)
    extended = _chosen(scene.arrays.book.places.discharge_locations, EXTENDED)
    dies_at_home = scene.ends.follows == HOME_DEATH
    return pl.select(
        pl.when(pl.Series(scene.ends.dead))
        .then(pl.lit("DIED"))
        .when(pl.Series(dies_at_home & (onward < 0.55)))
        .then(pl.lit("HOSPICE"))
        .when(pl.Series(onward < 0.75 * frail))
        .then(weighted(rng, extended, n=scene.n))
        .when(pl.Series(onward < 0.2 + 0.75 * frail))
        .then(pl.lit("HOME HEALTH CARE"))
        .when(pl.Series(onward > 0.985))
        .then(pl.lit("AGAINST ADVICE"))
        .when(pl.Series((onward > 0.93) & (days < 1.5)))
        .then(pl.lit(None, dtype=pl.String))
        .otherwise(pl.lit("HOME"))
    ).to_series()


def _disposition(scene: Scene, rng: np.random.Generator) -> pl.Series:
    home = weighted(rng, scene.arrays.book.places.ed_dispositions, n=scene.n)
    return pl.select(
        pl.when(pl.Series(scene.admitted))
        .then(pl.lit("ADMITTED"))
        .when(pl.Series(scene.ends.dead))
        .then(pl.lit("EXPIRED"))
        .otherwise(home)
    ).to_series()


def _transport(scene: Scene, rng: np.random.Generator) -> pl.Series:
    ill = scene.severity[scene.hours_from[:-1]]
    ambulance = rng.random(scene.n) < 0.12 + 0.13 * ill + 0.004 * (scene.encounters.age - 50)
    other = weighted(rng, scene.arrays.book.places.arrival_transports, n=scene.n)
    return pl.select(
        pl.when(pl.Series(ambulance)).then(pl.lit("AMBULANCE")).otherwise(other)
    ).to_series()


def _patients(scene: Scene, people: pl.DataFrame) -> pl.DataFrame:
    order = np.argsort(scene.subject_id)
    frame = people.select("gender", "anchor_age", "anchor_year", "anchor_year_group").with_columns(
        subject_id=pl.Series(scene.subject_id), dod=days(scene.subjects.dead_day * DAY_S)
    )
    return table("hosp/patients", frame.to_dict()).select(pl.all().gather(pl.Series(order)))


def _admissions(scene: Scene, visits: pl.DataFrame) -> pl.DataFrame:
    rows = np.flatnonzero(scene.admitted)
    from_ed = scene.ed_id >= 0
    dead = scene.ends.dead
    frame = visits.with_columns(
        subject_id=pl.Series(scene.of_subject),
        hadm_id=ids(scene.hadm_id),
        admittime=times(scene.admit_s),
        dischtime=times(scene.left_s),
        deathtime=times(scene.left_s, ~dead),
        edregtime=times(scene.encounters.start_s, ~from_ed),
        edouttime=times(scene.ed_out_s),
        hospital_expire_flag=pl.Series(dead.astype(int)),
    )
    return table("hosp/admissions", frame[rows].to_dict())


def _units(scene: Scene, rng: np.random.Generator) -> Ints:
    """Care unit of each spell: by service, one ward a stay."""
    units = scene.arrays.book.places.careunits
    service = scene.arrays.service[scene.encounters.condition[scene.places.encounter]]
    draw = rng.random(scene.n)[scene.places.encounter]
    chosen = np.zeros(len(service), np.int64)
    for kind, code in (("ward", WARD), (("icu"), ICU)):
        for name in np.unique(service):
            fitting = [i for i, u in enumerate(units) if u.kind == kind and name in u.services]
            fitting = fitting or [i for i, u in enumerate(units) if u.kind == kind]
            share = np.cumsum([units[i].weight for i in fitting])
            mine = (service == name) & (scene.places.kind == code)
            pick = np.searchsorted(share / share[-1], draw[mine])
            chosen[mine] = np.array(fitting)[np.minimum(pick, len(fitting) - 1)]
    return chosen


def _transfers(scene: Scene, stays: Stays) -> pl.DataFrame:
    spells, names = scene.places, [u.name for u in scene.arrays.book.places.careunits]
    first_inside = np.ones(len(spells.kind), bool)
    first_inside[1:] = (np.diff(spells.encounter) > 0) | (spells.kind[:-1] == 1)
    kind = np.where(spells.kind == 1, 0, np.where(first_inside, 1, 2))
    base = {
        "subject_id": pl.Series(scene.of_subject[spells.encounter]),
        "hadm_id": ids(scene.hadm_id[spells.encounter]),
        "transfer_id": pl.Series(stays.transfer_id),
        "eventtype": picked(["ED", "admit", "transfer"], kind),
        "careunit": picked(names, stays.unit),
        "intime": times(spells.start_s),
        "outtime": times(spells.end_s),
    }
    out = np.flatnonzero(scene.admitted)
    position = (
        scene.number * BLOCK * TRANSFERS_A_SUBJECT
        + scene.n
        + len(spells.kind)
        + np.arange(len(out))
    )
    end = {
        "subject_id": pl.Series(scene.of_subject[out]),
        "hadm_id": ids(scene.hadm_id[out]),
        "transfer_id": pl.Series(scrambled(STAY_BASE, position)),
        "eventtype": pl.Series(["discharge"] * len(out), dtype=pl.String),
        "intime": times(scene.left_s[out]),
    }
    frames = [table("hosp/transfers", base), table("hosp/transfers", end)]
    joined = pl.concat([f.cast({"outtime": pl.Datetime("us")}) for f in frames])
    return joined.sort("subject_id", "intime", "eventtype", maintain_order=True)


def _services(scene: Scene) -> pl.DataFrame:
    rows = np.flatnonzero(scene.admitted)
    service = scene.arrays.service[scene.encounters.condition[rows]]
    return table(
        "hosp/services",
        {
            "subject_id": pl.Series(scene.of_subject[rows]),
            "hadm_id": ids(scene.hadm_id[rows]),
            "transfertime": times(scene.admit_s[rows] + 47),
            "curr_service": pl.Series(service.tolist(), dtype=pl.String),
        },
    )


def _icustays(scene: Scene, stays: Stays) -> pl.DataFrame:
    rows, spells = stays.icu_row, scene.places
    names = [u.name for u in scene.arrays.book.places.careunits]
    who = spells.encounter[rows]
    unit = picked(names, stays.unit[rows])
    return table(
        "icu/icustays",
        {
            "subject_id": pl.Series(scene.of_subject[who]),
            "hadm_id": ids(scene.hadm_id[who]),
            "stay_id": pl.Series(stays.transfer_id[rows]),
            "first_careunit": unit,
            "last_careunit": unit,
            "intime": times(spells.start_s[rows]),
            "outtime": times(spells.end_s[rows]),
            "los": pl.Series((spells.end_s[rows] - spells.start_s[rows]) / DAY_S),
        },
    )


def _edstays(scene: Scene, visits: pl.DataFrame) -> pl.DataFrame:
    rows = np.flatnonzero(scene.ed_id >= 0)
    frame = visits.with_columns(
        subject_id=pl.Series(scene.of_subject),
        hadm_id=ids(scene.hadm_id),
        stay_id=pl.Series(scene.ed_id),
        intime=times(scene.encounters.start_s),
        outtime=times(scene.ed_out_s),
    )
    return table("ed/edstays", frame[rows].to_dict())
