"""emar, emar_detail, pyxis, medrecon: drugs as given at the bedside, in the ED, and at home."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Ints
from ehrlich.charts.hospital.catalog import Drug
from ehrlich.charts.hospital.records.drugs import DrugOrders, HomeDrugs, Medication
from ehrlich.charts.hospital.records.frames import Tables, ids, picked, table, times
from ehrlich.charts.hospital.records.pharmacy import Links, drug_columns
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import Scene, every

EVENTS = (
    "Administered",
    "Not Given",
    "Delayed Administered",
    "Hold Dose",
    "Flushed",
    "Not Flushed",
    "Started",
    "Stopped",
    "Not Given per Sliding Scale",
    "Applied",
    "Removed",
    "Partial Administered",
)
GIVEN_EVENTS, STARTED = (0, 2, 4, 6, 9, 11), 6
PRN_A_DAY = 1.1


def given_records(
    scene: Scene, drugs: Medication, *, links: Links, rng: np.random.Generator
) -> Tables:
    """The four tables."""
    emar, detail = _emar(scene, drugs.orders, links, rng)
    return {
        "hosp/emar": emar,
        "hosp/emar_detail": detail,
        "ed/pyxis": _pyxis(scene, drugs.ed_doses, rng),
        "ed/medrecon": _medrecon(scene, drugs.home, rng),
    }


def _doses(scene: Scene, orders: DrugOrders, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """(order, scheduled second, event) of every entry of the administration record."""
    book = list(scene.arrays.book.drugs.values())
    kind = np.array([_rhythm(d) for d in book])[orders.drug]
    per_day = np.array([d.per_24h or 1.0 for d in book])[orders.drug]
    end_s = np.minimum(orders.stop_s, scene.left_s[orders.encounter])
    parts = []
    regular = np.flatnonzero(kind == 0)
    period = (DAY_S / np.maximum(per_day[regular], 0.25)).astype(np.int64)
    row, when = every(orders.start_s[regular], end_s[regular], period_s=period)
    parts.append((regular[row], when, _regular_events(scene, orders, regular[row], rng)))
    prn = np.flatnonzero(kind == 1)
    length = (end_s[prn] - orders.start_s[prn]).clip(0)
    count = rng.poisson(np.minimum(PRN_A_DAY * length / DAY_S, 40))
    row = np.repeat(prn, count)
    when = orders.start_s[row] + (rng.random(len(row)) * np.repeat(length, count)).astype(np.int64)
    parts.append((row, when // 60 * 60, np.zeros(len(row), np.int64)))
    once = np.flatnonzero(kind == 2)
    parts.append((once, orders.start_s[once], np.where(rng.random(len(once)) < 0.93, 0, 1)))
    drip = np.flatnonzero(kind == 3)
    parts.append((drip, orders.start_s[drip], np.full(len(drip), 6)))
    parts.append((drip, end_s[drip] - 60, np.full(len(drip), 7)))
    order, when, event = (np.concatenate(c) for c in zip(*parts, strict=True))
    keep = when < scene.left_s[orders.encounter[order]]
    return order[keep], when[keep], event[keep]


def _rhythm(drug: Drug) -> int:
    """0 by the clock, 1 when needed, 2 once, 3 continuous."""
    if "PRN" in drug.frequency:
        return 1
    if drug.frequency.startswith("ONCE"):
        return 2
    if drug.frequency.startswith(("INFUSION", "TITRATE")) or drug.route == "IV DRIP":
        return 3
    return 0


def _regular_events(
    scene: Scene, orders: DrugOrders, order: Ints, rng: np.random.Generator
) -> Ints:
    book = list(scene.arrays.book.drugs.values())
    flush = np.array(["Flush" in d.name for d in book])[orders.drug[order]]
    sliding = np.array([d.key == "insulin_sliding" for d in book])[orders.drug[order]]
    patch = np.array([d.route in ("TD", "TP") for d in book])[orders.drug[order]]
    draw = rng.random(len(order))
    event = np.select([draw < 0.885, draw < 0.955, draw < 0.975, draw < 0.99], [0, 1, 2, 3], 11)
    event = np.where(flush, np.where(draw < 0.75, 4, 5), event)
    event = np.where(sliding & (draw < 0.4), 8, event)
    return np.where(patch & (draw < 0.885), 9, event)


def _emar(
    scene: Scene, orders: DrugOrders, links: Links, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    order, due, event = _doses(scene, orders, rng)
    n = len(order)
    charted = np.minimum(
        due + 60 * np.round(rng.normal(8, 22, n)).astype(np.int64),
        scene.left_s[orders.encounter[order]] - 60,
    )
    charted = np.where(event >= 6, due, np.maximum(charted, links.ordered_s[order] // 60 * 60 + 60))
    subject = scene.encounters.subject[orders.encounter[order]]
    by_time = np.lexsort((order, charted, subject))
    order, due, event, charted, subject = (
        c[by_time] for c in (order, due, event, charted, subject)
    )
    first = np.append(True, np.diff(subject) > 0)[: len(subject)]
    seq = np.arange(n) - np.maximum.accumulate(np.where(first, np.arange(n), 0)) + 1
    name = drug_columns(scene, orders, "name")["name"]
    frame = pl.DataFrame({"subject_id": scene.subject_id[subject], "emar_seq": seq}).with_columns(
        hadm_id=ids(scene.hadm_id[orders.encounter[order]]),
        emar_id=pl.concat_str(pl.col("subject_id"), pl.lit("-"), pl.col("emar_seq")),
        poe_id=links.poe_id.gather(pl.Series(order)),
        pharmacy_id=pl.Series(links.pharmacy_id[order]).set(pl.Series(rng.random(n) < 0.12), None),
        charttime=times(charted),
        medication=name.gather(pl.Series(order)).set(pl.Series(rng.random(n) < 0.02), None),
        event_txt=picked(EVENTS, event, null=rng.random(n) < 0.008),
        scheduletime=times(due),
        storetime=times(charted + 60 * rng.integers(0, 4, n)),
    )
    return table("hosp/emar", frame.to_dict()), _detail(
        scene, (orders, links), frame, (order, event), rng
    )


DETAIL_KINDS = (
    "Standard Maintenance Medication",
    "IV Infusion",
    "IV Flush",
    "Insulin SC Sliding Scale",
    "Transdermal Patch",
)


def _detail(
    scene: Scene,
    of: tuple[DrugOrders, Links],
    emar: pl.DataFrame,
    rows: tuple[Ints, Ints],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """A row for each entry, and one for the product of each dose that was given."""
    orders, links = of
    order, event = rows
    names = ("dose", "dose_unit", "form", "formulary_cd", "name", "strength", "route", "proc_type")
    at = pl.DataFrame(drug_columns(scene, orders, *names))[order].with_columns(
        emar["subject_id"],
        emar["emar_id"],
        emar["emar_seq"],
        pharmacy_id=pl.Series(links.pharmacy_id[order]),
        event=pl.Series(event),
    )
    given = np.isin(event, GIVEN_EVENTS) & (event != STARTED)
    frames = [_entries(at, rng), _products(at[np.flatnonzero(given)], rng)]
    numbers = ("subject_id", "emar_seq", "pharmacy_id")
    typed = [pl.col(numbers).cast(pl.Int64), pl.exclude(numbers).cast(pl.String)]
    both = pl.concat([frame.with_columns(typed) for frame in frames])
    return both.sort("subject_id", "emar_seq", maintain_order=True)


def _entries(at: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Rows without ordinal: what was due."""
    event = at["event"].to_numpy()
    drip, flush = (event == 6) | (event == 7), (event == 4) | (event == 5)
    kind = np.select([drip, flush, event == 8, event == 9], [1, 2, 3, 4], 0)
    given = np.isin(event, GIVEN_EVENTS)
    whole = np.where(event == 11, 1, np.where(given & (rng.random(len(event)) < 0.4), 0, -1))
    rest = np.where(given & (rng.random(len(event)) < 0.5), 0, -1)
    frame = at.select("subject_id", "emar_id", "emar_seq").with_columns(
        administration_type=picked(DETAIL_KINDS, kind),
        complete_dose_not_given=picked(["No", "Yes"], whole),
        dose_due=at["dose"],
        dose_due_unit=at["dose_unit"],
        will_remainder_of_dose_be_given=picked(["No"], rest),
        route=at.select(
            pl.when(pl.col("route").str.starts_with("PO")).then(pl.lit("PO"))
        ).to_series(),
    )
    return table("hosp/emar_detail", frame.to_dict())


def _products(at: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Rows 1.1: what was scanned and given."""
    n = at.height
    unread = rng.random(n) < 0.04
    bag = (at["proc_type"] != "Unit Dose").cast(pl.Int64).to_numpy()
    frame = at.select("subject_id", "emar_id", "emar_seq", "pharmacy_id").with_columns(
        parent_field_ordinal=pl.lit("1.1"),
        barcode_type=picked(["if", "iv"], bag, null=unread),
        reason_for_no_barcode=picked(
            ["Discarded Packaging", "Barcode Damaged"], np.where(unread, rng.integers(0, 2, n), -1)
        ),
        dose_given=at["dose"],
        dose_given_unit=at["dose_unit"],
        product_amount_given=pl.lit("1"),
        product_unit=at["form"],
        product_code=at["formulary_cd"],
        product_description=at["name"] + " " + at["strength"].fill_null(""),
    )
    return table("hosp/emar_detail", frame.to_dict())


def _pyxis(scene: Scene, doses: DrugOrders, rng: np.random.Generator) -> pl.DataFrame:
    """What was taken out of the ED's cabinet."""
    name = drug_columns(scene, doses, "name", "gsn")
    who = doses.encounter
    first = np.append(True, np.diff(who) > 0)[: len(who)]
    number = (
        np.arange(len(who)) - np.maximum.accumulate(np.where(first, np.arange(len(who)), 0)) + 1
    )
    when = np.clip(
        doses.start_s // 60 * 60, scene.encounters.start_s[who] + 600, scene.ed_out_s[who]
    )
    return table(
        "ed/pyxis",
        {
            "subject_id": pl.Series(scene.of_subject[who]),
            "stay_id": pl.Series(scene.ed_id[who]),
            "charttime": times(when),
            "med_rn": pl.Series(number),
            "name": name["name"],
            "gsn_rn": pl.Series(np.ones(len(who), np.int64)),
            "gsn": name["gsn"],
        },
    )


def _medrecon(scene: Scene, home: HomeDrugs, rng: np.random.Generator) -> pl.DataFrame:
    """The list of home drugs that the ED took down; some visits have none."""
    asked = (rng.random(scene.n) < 0.8) & (scene.ed_id >= 0)
    keep = asked[home.encounter] & (rng.random(len(home.encounter)) < 0.93)
    who, drug = home.encounter[keep], home.drug[keep]
    asked_s = scene.encounters.start_s + 60 * rng.integers(8, 70, scene.n)
    book = list(scene.arrays.book.drugs.values())
    classes = list(dict.fromkeys(d.drug_class for d in book))
    code = np.array([classes.index(d.drug_class) for d in book])[drug]
    return table(
        "ed/medrecon",
        {
            "subject_id": pl.Series(scene.of_subject[who]),
            "stay_id": pl.Series(scene.ed_id[who]),
            "charttime": times(np.minimum(asked_s, scene.ed_out_s)[who]),
            "name": picked([d.name.lower() for d in book], drug),
            "gsn": picked([d.gsn for d in book], drug),
            "ndc": picked([d.ndc for d in book], drug),
            "etc_rn": pl.Series(np.ones(len(who), np.int64)),
            "etccode": pl.Series(2000 + 7 * code),
            "etcdescription": picked([c[:1].upper() + c[1:] for c in classes], code),
        },
    )
