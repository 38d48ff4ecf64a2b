"""poe, poe_detail: what providers ordered, and when they ended it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Ints
from ehrlich.charts.hospital.course import HOUR_S, ICU, WARD
from ehrlich.charts.hospital.records.drugs import DrugOrders
from ehrlich.charts.hospital.records.frames import (
    Tables,
    ids,
    picked,
    providers,
    table,
    times,
)
from ehrlich.charts.hospital.records.labs import Draws
from ehrlich.charts.hospital.records.pharmacy import (
    Links,
    pharmacy_records,
    prescription_records,
)
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import BLOCK, Scene, scrambled


@dataclass(frozen=True, slots=True)
class Written:
    """Orders as written; `of` is the row of the order that this one ends, or -1."""

    encounter: Ints
    time_s: Ints
    kind: Ints  # row of `kinds`
    of: Ints
    detail: Ints  # index into the kind's values, or -1


Kind = tuple[str, str | None, str | None, tuple[str, ...]]
MEDICATION, LAB = 0, 1


def order_kinds(scene: Scene) -> list[Kind]:
    """(type, subtype, detail field, its values) of every order that may be written."""
    exams = dict.fromkeys(e.order_subtype for e in scene.arrays.book.exams.values())
    other = scene.arrays.book.places.orders
    return [
        ("Medications", None, None, ()),
        ("Lab", None, None, ()),
        (
            "ADT orders",
            "Admit",
            "Admit to",
            tuple(dict.fromkeys(scene.arrays.book.places.services.values())),
        ),
        ("ADT orders", "Transfer", "Transfer to", ("ICU", "Medicine", "Surgery")),
        ("ADT orders", "Discharge", "Discharge Planning", ("Finalized",)),
        *(("Cardiology" if e == "Echo" else "Radiology", e, None, ()) for e in exams),
        *((o.order_type, o.order_subtype, o.field, o.values) for o in other),
    ]


def order_records(
    scene: Scene,
    orders: DrugOrders,
    *,
    others: tuple[Draws, tuple[Ints, Ints, Ints]],
    rng: np.random.Generator,
) -> tuple[Tables, Links]:
    """The four tables and the ids of drug orders. `others`: lab draws; encounter, exam, time."""
    kinds = order_kinds(scene)
    n = len(orders.encounter)
    lead = 60 * rng.integers(4, 55, n) + rng.integers(0, 60, n)
    ordered_s = np.maximum(orders.start_s - lead, scene.admit_s[orders.encounter] + 1)
    ended = (orders.stop_s < scene.left_s[orders.encounter] - 2 * HOUR_S) & (rng.random(n) < 0.55)
    stop_rows = np.flatnonzero(ended)
    parts = [
        Written(orders.encounter, ordered_s, np.zeros(n, np.int64), np.full(n, -1), np.full(n, -1)),
        Written(
            orders.encounter[stop_rows],
            orders.stop_s[stop_rows] - rng.integers(1, 1800, len(stop_rows)),
            np.zeros(len(stop_rows), np.int64),
            stop_rows,
            np.full(len(stop_rows), -1),
        ),
        *_other_orders(scene, kinds, others, rng),
    ]
    written = Written(*(np.concatenate([getattr(p, f) for p in parts]) for f in Written.__slots__))
    inside = np.clip(
        written.time_s,
        scene.admit_s[written.encounter] + 1,
        scene.left_s[written.encounter] - 1,
    )
    written = replace(written, time_s=inside)
    poe, detail = _poe(scene, written, kinds, rng)
    pharmacy_id = scrambled(50_000_000, scene.number * BLOCK * 300 + np.arange(n))
    links = Links(poe["poe_id"].head(n), poe["poe_seq"].head(n), pharmacy_id, ordered_s)
    tables = {
        "hosp/poe": table("hosp/poe", poe.sort("subject_id", "poe_seq").to_dict()),
        "hosp/poe_detail": detail,
        "hosp/pharmacy": pharmacy_records(scene, orders, links=links, ended=ended, rng=rng),
        "hosp/prescriptions": prescription_records(scene, orders, links=links, rng=rng),
    }
    return tables, links


def _written(encounter: Ints, time_s: Ints, kind: int, detail: Ints | None = None) -> Written:
    n = len(encounter)
    none = np.full(n, -1)
    return Written(encounter, time_s, np.full(n, kind), none, none if detail is None else detail)


def _other_orders(
    scene: Scene,
    kinds: list[Kind],
    others: tuple[Draws, tuple[Ints, Ints, Ints]],
    rng: np.random.Generator,
) -> list[Written]:
    draws, (exam_of, exam, exam_s) = others
    inside = draws.encounter >= 0
    inside[inside] = scene.admitted[draws.encounter[inside]] & (
        draws.time_s[inside] > scene.admit_s[draws.encounter[inside]]
    )
    rows = np.flatnonzero(inside)
    ahead = np.where(
        draws.priority[rows] == 1,
        rng.integers(300, 3000, len(rows)),
        rng.integers(6000, 50000, len(rows)),
    )
    who = draws.encounter[rows]
    parts = [_written(who, np.maximum(draws.time_s[rows] - ahead, scene.admit_s[who] + 60), LAB)]
    subtypes = {k[1]: i for i, k in enumerate(kinds)}
    exam_kind = np.array([subtypes[e.order_subtype] for e in scene.arrays.book.exams.values()])[
        exam
    ]
    ours = scene.admitted[exam_of] & (exam_s > scene.admit_s[exam_of])
    for kind in np.unique(exam_kind[ours]):
        mine = ours & (exam_kind == kind)
        before = np.maximum(
            exam_s[mine] - rng.integers(900, 9000, int(mine.sum())),
            scene.admit_s[exam_of[mine]] + 60,
        )
        parts.append(_written(exam_of[mine], before, int(kind)))
    return [*parts, *_adt(scene, kinds, rng), *_routine(scene, kinds, rng)]


def _adt(scene: Scene, kinds: list[Kind], rng: np.random.Generator) -> list[Written]:
    """Admit, transfer and discharge orders."""
    named = {k[1]: i for i, k in enumerate(kinds)}
    stays = np.flatnonzero(scene.admitted)
    service = scene.arrays.service[scene.encounters.condition[stays]]
    to = list(kinds[named["Admit"]][3])
    onto = np.array([to.index(scene.arrays.book.places.services[s]) for s in service])
    spells = scene.places
    later = np.flatnonzero(
        (spells.kind >= WARD)
        & (np.append(False, (np.diff(spells.encounter) == 0) & (spells.kind[:-1] >= WARD)))
    )
    home = stays[~scene.ends.dead[stays]]
    return [
        _written(
            stays,
            scene.admit_s[stays] + rng.integers(5, 400, len(stays)),
            named["Admit"] or 0,
            onto,
        ),
        _written(
            spells.encounter[later],
            spells.start_s[later] - rng.integers(900, 9000, len(later)),
            named["Transfer"] or 0,
            np.where(spells.kind[later] == ICU, 0, 1),
        ),
        _written(
            home,
            scene.left_s[home] - rng.integers(1800, 12000, len(home)),
            named["Discharge"] or 0,
            np.zeros(len(home), np.int64),
        ),
    ]


def _routine(scene: Scene, kinds: list[Kind], rng: np.random.Generator) -> list[Written]:
    """Diet, activity, monitoring and the like."""
    stays = np.flatnonzero(scene.admitted)
    length_d = (scene.left_s[stays] - scene.admit_s[stays]) / DAY_S
    icu_d = np.zeros(scene.n)
    spells = scene.places
    in_icu = spells.kind == ICU
    np.add.at(icu_d, spells.encounter[in_icu], (spells.end_s - spells.start_s)[in_icu] / DAY_S)
    parts = []
    listed = scene.arrays.book.places.orders
    for kind, order in enumerate(listed, start=len(kinds) - len(listed)):
        at_start = np.repeat(stays, rng.poisson(order.per_stay, len(stays)))
        expected = order.per_day * length_d + order.icu_per_day * icu_d[stays]
        later = np.repeat(np.arange(len(stays)), rng.poisson(expected))
        when = scene.admit_s[at_start] + rng.integers(200, 7000, len(at_start))
        at = scene.admit_s[stays[later]] + (
            rng.random(len(later)) * length_d[later] * DAY_S
        ).astype(np.int64)
        who = np.concatenate([at_start, stays[later]])
        value = (
            rng.choice(len(order.values), len(who), p=_falling(len(order.values)))
            if order.values
            else None
        )
        parts.append(_written(who, np.concatenate([when, at]), kind, value))
    return parts


def _falling(n: int) -> Any:
    share = 0.25 ** np.arange(n)
    return share / share.sum()


def _poe(
    scene: Scene, written: Written, kinds: list[Kind], rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """poe rows in the order given (numbered by time within a subject), and their details."""
    subject = scene.encounters.subject[written.encounter]
    order = np.lexsort((written.time_s, subject))
    first = np.append(True, np.diff(subject[order]) > 0)
    start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    seq = np.empty(len(order), np.int64)
    seq[order] = np.arange(len(order)) - start + 1
    subject_id = pl.Series(scene.subject_id[subject])
    frame = pl.DataFrame({"subject_id": subject_id, "poe_seq": seq}).with_columns(
        poe_id=pl.concat_str(pl.col("subject_id"), pl.lit("-"), pl.col("poe_seq"))
    )
    ends = np.flatnonzero(written.of >= 0)
    ended_by = np.full(len(order), -1)
    ended_by[written.of[ends]] = ends
    name = frame["poe_id"].to_list()
    change = (written.of < 0) & (rng.random(len(order)) < 0.08)
    frame = frame.with_columns(
        hadm_id=ids(scene.hadm_id[written.encounter]),
        ordertime=times(written.time_s),
        order_type=picked([k[0] for k in kinds], written.kind),
        order_subtype=picked([k[1] for k in kinds], written.kind),
        transaction_type=picked(
            ["New", "Change", "D/C"], np.where(written.of >= 0, 2, change.astype(int))
        ),
        discontinue_of_poe_id=picked(name, written.of),
        discontinued_by_poe_id=picked(name, ended_by),
        order_provider_id=providers(rng, len(order), missing=0.02),
        order_status=pl.lit("Inactive"),
    )
    with_field = np.array([bool(k[2]) for k in kinds])[written.kind] & (written.detail >= 0)
    rows = np.flatnonzero(with_field)
    values = [v for k in kinds for v in (k[3] or ("",))]
    offset = np.cumsum([0, *(len(k[3]) or 1 for k in kinds[:-1])])
    detail = (
        frame[rows]
        .select("poe_id", "poe_seq", "subject_id")
        .with_columns(
            field_name=picked([k[2] for k in kinds], written.kind[rows]),
            field_value=picked(values, offset[written.kind[rows]] + written.detail[rows]),
        )
    )
    return frame, table("hosp/poe_detail", detail.sort("subject_id", "poe_seq").to_dict())
