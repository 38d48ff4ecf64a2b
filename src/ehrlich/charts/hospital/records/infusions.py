"""inputevents, ingredientevents: what goes into an ICU patient, by pump, push or mouth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Floats, Ints
from ehrlich.charts.hospital.catalog import IcuItem
from ehrlich.charts.hospital.course import HOUR_S
from ehrlich.charts.hospital.records.bedside import procedure_records
from ehrlich.charts.hospital.records.chart import icu_time, weight_kg
from ehrlich.charts.hospital.records.drugs import DrugOrders
from ehrlich.charts.hospital.records.frames import Tables, caregivers, picked, table, times
from ehrlich.charts.hospital.records.stays import Stays
from ehrlich.charts.hospital.scene import BLOCK, Scene, every, scrambled

DRIP, PUSH, FLUID, ORAL = range(4)
MAIN, MIXED = "Main order parameter", "Mixed solution"
ORDER_TEXTS = ("Continuous Med", "Drug Push", "Continuous IV", "Bolus")


@dataclass(frozen=True, slots=True)
class Inputs:
    """Rows of inputevents before they are dressed; `link` numbers the order a row belongs to."""

    spell: Ints
    item: Ints
    start_s: Ints
    end_s: Ints
    amount: Floats
    rate: Floats  # NaN when not a rate
    kind: Ints
    link: Ints
    last: Ints  # 1 where the infusion ends with this row


def infusion_records(
    scene: Scene, stays: Stays, *, orders: DrugOrders, done: pl.DataFrame, rng: np.random.Generator
) -> Tables:
    """The three tables. `done`: coded procedures that have an ICU item."""
    inputs = _all_inputs(scene, stays, orders, rng)
    frame, ingredients = _dressed(scene, stays, inputs, rng)
    return {
        "icu/inputevents": frame,
        "icu/ingredientevents": ingredients,
        "icu/procedureevents": procedure_records(scene, stays, done=done, rng=rng),
    }


def _all_inputs(scene: Scene, stays: Stays, orders: DrugOrders, rng: np.random.Generator) -> Inputs:
    parts = [_drug_inputs(scene, stays, orders, rng), _fluids(scene, stays, rng)]
    joined = {f: np.concatenate([getattr(p, f) for p in parts]) for f in Inputs.__slots__}
    joined["link"] = np.concatenate(
        [parts[0].link, parts[1].link + 1 + parts[0].link.max(initial=0)]
    )
    order = np.lexsort((joined["item"], joined["start_s"], joined["spell"]))
    return Inputs(**{f: column[order] for f, column in joined.items()})


def _in_icu(scene: Scene, stays: Stays, orders: DrugOrders) -> tuple[Ints, Ints, Ints, Ints]:
    """(order, spell, from, to): the part of each drug order that falls into an ICU stay."""
    spells = scene.places
    rows = stays.icu_row
    count = np.bincount(spells.encounter[rows], minlength=scene.n)
    first = count.cumsum() - count
    n = count[orders.encounter]
    order = np.repeat(np.arange(len(n)), n)
    step = np.arange(len(order)) - np.repeat(n.cumsum() - n, n)
    spell = rows[first[orders.encounter[order]] + step]
    start = np.maximum(orders.start_s[order], spells.start_s[spell] + 120)
    end = np.minimum(orders.stop_s[order], spells.end_s[spell] - 60)
    keep = end - start >= 600
    return order[keep], spell[keep], start[keep], end[keep]


def _drug_inputs(
    scene: Scene, stays: Stays, orders: DrugOrders, rng: np.random.Generator
) -> Inputs:
    """Drips in pieces between rate changes, pushes at dose times."""
    book = list(scene.arrays.book.drugs.values())
    items = {key: row for row, key in enumerate(scene.arrays.book.icu_items)}
    listed = list(scene.arrays.book.icu_items.values())
    item_of = np.array([items[d.icu_item] if d.icu_item else -1 for d in book])
    order, spell, start, end = _in_icu(scene, stays, orders)
    item = item_of[orders.drug[order]]
    known = item >= 0
    order, spell, start, end, item = (c[known] for c in (order, spell, start, end, item))
    rated = np.array([x.rate is not None for x in listed])[item]
    infused = np.array([d.proc_type == "IV Large Volume" or d.route == "IV DRIP" for d in book])[
        orders.drug[order]
    ]
    drip = np.flatnonzero(rated & infused)
    pieces = _drip_pieces(scene, (spell[drip], start[drip], end[drip], item[drip]), rng)
    push = np.flatnonzero(~(rated & infused))
    per_day = np.array([d.per_24h or 1.0 for d in book])[orders.drug[order[push]]]
    period = (86_400 / np.maximum(per_day, 0.5)).astype(np.int64)
    ordered = orders.start_s[order[push]]
    # Doses keep the hours of the order, whenever the ICU stay began.
    due = ordered + np.maximum(-(-(start[push] - ordered) // period), 0) * period
    row, when = every(due, end[push], period_s=period)
    dose = np.array([_number(d.dose) for d in book])[orders.drug[order[push[row]]]]
    as_dose = np.array([x.unitname == "dose" for x in listed])[item[push[row]]]
    n = len(row)
    fresh = Inputs(
        spell=spell[push[row]],
        item=item[push[row]],
        start_s=when,
        end_s=when + 60,
        amount=np.where(as_dose, 1.0, dose),
        rate=np.full(n, np.nan),
        kind=np.full(n, PUSH),
        link=len(drip) + np.arange(n),
        last=np.ones(n, np.int64),
    )
    return Inputs(
        *(np.concatenate([getattr(pieces, f), getattr(fresh, f)]) for f in Inputs.__slots__)
    )


def _number(dose: object) -> float:
    """The first number of a dose."""
    try:
        return float(str(dose).split("-")[0].split("/")[0].replace(",", ""))
    except ValueError:
        return 1.0


def _drip_pieces(
    scene: Scene, drips: tuple[Ints, Ints, Ints, Ints], rng: np.random.Generator
) -> Inputs:
    """Each drip cut where its rate was changed; the rate follows the severity of the hour."""
    spell, start, end, item = drips
    listed = list(scene.arrays.book.icu_items.values())
    period = rng.integers(3 * HOUR_S, 9 * HOUR_S, len(start)) // 300 * 300
    row, begin = every(start, end, period_s=period)
    finish = np.minimum(begin + period[row], end[row])
    who = scene.places.encounter[spell[row]]
    severity = scene.appearance[scene.hour_row(who, begin)]
    usual = np.array([x.rate or 1.0 for x in listed])[item[row]]
    rate = usual * np.clip(0.35 + 0.22 * severity, 0.2, 1.7) * np.exp(rng.normal(0, 0.15, len(row)))
    units = [x.rate_unit or "" for x in listed]
    per_kg = np.array(["/kg" in u for u in units])[item[row]]
    per_min = np.array(["/min" in u for u in units])[item[row]]
    micro = np.array(
        [u.startswith("mcg") and x.unitname == "mg" for u, x in zip(units, listed, strict=True)]
    )[item[row]]
    minutes = (finish - begin) / 60
    amount = (
        rate
        * np.where(per_min, minutes, minutes / 60)
        * np.where(per_kg, weight_kg(scene)[who], 1.0)
    )
    last = np.append(np.diff(row) > 0, True)[: len(row)].astype(np.int64)
    return Inputs(
        spell[row],
        item[row],
        begin,
        finish,
        amount / np.where(micro, 1000, 1),
        rate,
        np.full(len(row), DRIP),
        row,
        last,
    )


def _fluids(scene: Scene, stays: Stays, rng: np.random.Generator) -> Inputs:
    """Carrier fluids, boluses, drinks, tube feeds and blood."""
    items = {key: row for row, key in enumerate(scene.arrays.book.icu_items)}
    clock = icu_time(scene, stays, every_h=2)
    draw = rng.random(len(clock.spell))
    quiet = ~clock.vent
    bleeding = rng.random(scene.n)[clock.encounter] < 0.12
    rules = [
        ("sodium_chloride", draw < 0.35, (150, 500), 4, FLUID),
        ("dextrose_5", rng.random(len(draw)) < 0.18, (50, 200), 4, FLUID),
        (
            "lactated_ringers",
            (clock.severity > 3) & (rng.random(len(draw)) < 0.12),
            (500, 1000),
            1,
            FLUID,
        ),
        ("po_intake", quiet & (rng.random(len(draw)) < 0.4), (60, 360), 0, ORAL),
        ("gastric_meds", clock.vent & (rng.random(len(draw)) < 0.3), (30, 60), 0, ORAL),
        ("tube_feed", clock.vent & (rng.random(len(draw)) < 0.45), (80, 220), 4, FLUID),
        ("packed_red_blood_cells", bleeding & (rng.random(len(draw)) < 0.06), (280, 350), 2, FLUID),
    ]
    parts = []
    for key, chosen, (low, high), hours, kind in rules:
        at = np.flatnonzero(chosen)
        start = clock.second[at] + 60 * rng.integers(0, 30, len(at))
        end = np.minimum(start + max(hours * HOUR_S, 60), scene.places.end_s[clock.spell[at]])
        keep = end - start >= 60
        at, start, end = at[keep], start[keep], end[keep]
        amount = np.round(rng.uniform(low, high, len(at)) / 10) * 10
        rate = amount / ((end - start) / HOUR_S) if kind == FLUID else np.full(len(at), np.nan)
        n = len(at)
        parts.append(
            (
                clock.spell[at],
                np.full(n, items[key]),
                start,
                end,
                amount,
                rate,
                np.full(n, kind),
                np.arange(n),
                np.ones(n, np.int64),
            )
        )
    joined = [np.concatenate(c) for c in zip(*parts, strict=True)]
    joined[7] = np.arange(len(joined[0]))
    return Inputs(*joined)


def _dressed(
    scene: Scene, stays: Stays, inputs: Inputs, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    listed: list[IcuItem] = list(scene.arrays.book.icu_items.values())
    n = len(inputs.spell)
    who = scene.places.encounter[inputs.spell]
    base = scene.number * BLOCK * 400
    order_id = scrambled(0, base + np.arange(n))
    first_of_link = np.zeros(inputs.link.max(initial=0) + 1, np.int64)
    first_of_link[inputs.link[::-1]] = order_id[::-1]
    unit = [{"mL": "ml"}.get(x.unitname or "ml", x.unitname or "ml") for x in listed]
    rate_unit = [x.rate_unit or "mL/hour" for x in listed]
    rated = ~np.isnan(inputs.rate)
    status = np.where(
        (inputs.kind == DRIP) & (inputs.last == 0), 1, np.where(rng.random(n) < 0.04, 2, 0)
    )
    total = np.select([inputs.kind == DRIP, inputs.kind == PUSH], [250.0, 100.0], inputs.amount)
    common = {
        "subject_id": pl.Series(scene.of_subject[who]),
        "hadm_id": pl.Series(scene.hadm_id[who]),
        "stay_id": pl.Series(stays.transfer_id[inputs.spell]),
        "caregiver_id": caregivers(rng, n),
        "starttime": times(inputs.start_s // 60 * 60),
        "endtime": times(inputs.end_s // 60 * 60),
        "storetime": times(inputs.start_s // 60 * 60 + 60 * rng.integers(1, 50, n)),
        "orderid": pl.Series(order_id),
        "linkorderid": pl.Series(first_of_link[inputs.link]),
        "statusdescription": picked(["FinishedRunning", "ChangeDose/Rate", "Stopped"], status),
    }
    frame = table(
        "icu/inputevents",
        common
        | {
            "itemid": pl.Series(np.array([x.itemid for x in listed])[inputs.item]),
            "amount": pl.Series(np.round(inputs.amount, 6)),
            "amountuom": picked(unit, inputs.item),
            "rate": pl.Series(np.round(inputs.rate, 6)).fill_nan(None),
            "rateuom": picked(rate_unit, inputs.item, null=~rated),
            "ordercategoryname": picked([x.order or "05-Med Bolus" for x in listed], inputs.item),
            "secondaryordercategoryname": picked(
                ["02-Fluids (Crystalloids)"], np.where(inputs.kind <= PUSH, 0, -1)
            ),
            "ordercomponenttypedescription": pl.Series([MAIN], dtype=pl.String).new_from_index(
                0, n
            ),
            "ordercategorydescription": picked(ORDER_TEXTS, inputs.kind),
            "patientweight": pl.Series(weight_kg(scene)[who]),
            "totalamount": pl.Series(total),
            "totalamountuom": pl.Series(["ml"], dtype=pl.String).new_from_index(0, n),
            "isopenbag": pl.Series(np.zeros(n, np.int64)),
            "continueinnextdept": pl.Series(np.zeros(n, np.int64)),
            "originalamount": pl.Series(
                np.round(np.where(inputs.kind == DRIP, total, inputs.amount), 6)
            ),
            "originalrate": pl.Series(np.round(np.where(rated, inputs.rate, inputs.amount), 6)),
        },
    )
    return frame, _ingredients(scene, inputs, common)


def _ingredients(scene: Scene, inputs: Inputs, common: dict[str, pl.Series]) -> pl.DataFrame:
    """Water and the kind of intake behind each fluid."""
    items = scene.arrays.book.icu_items
    keys = list(items)
    feed = inputs.item == keys.index("tube_feed")
    blood = inputs.item == keys.index("packed_red_blood_cells")
    oral = inputs.kind == ORAL
    volume = np.select(
        [inputs.kind == DRIP, inputs.kind == PUSH],
        [np.clip((inputs.end_s - inputs.start_s) / HOUR_S * 12, 1, 250), 50.0],
        inputs.amount,
    )
    wet = (inputs.kind >= FLUID) | (np.arange(len(feed)) % 3 == 0)
    kinds = [
        ("ingr_water", wet & ~blood, 1.0),
        ("ingr_ivf", wet & ~feed & ~blood & ~oral, 1.0),
        ("ingr_oral", oral, 1.0),
        ("ingr_enteral", feed, 1.0),
        ("ingr_calories", feed, 1.0),
        ("ingr_protein", feed, 0.06),
        ("ingr_blood", blood, 1.0),
    ]
    frames = []
    for key, chosen, factor in kinds:
        at = np.flatnonzero(chosen)
        hours = np.maximum((inputs.end_s - inputs.start_s)[at] / HOUR_S, 1 / 60)
        amount = np.round(volume[at] * factor, 4)
        unit = {"Kcal": "kcal", "grams": "grams"}.get(items[key].unitname or "", "ml")
        frame = pl.DataFrame(
            {name: column.gather(pl.Series(at)) for name, column in common.items()}
        ).with_columns(
            itemid=pl.lit(items[key].itemid),
            amount=pl.Series(amount),
            amountuom=pl.lit(unit),
            rate=pl.Series(np.round(amount / hours, 4)),
            rateuom=pl.lit("mL/hour"),
            originalamount=pl.lit(0),
            originalrate=pl.Series(np.round(amount / hours, 4)),
        )
        frames.append(frame)
    rows = pl.concat(frames).sort("subject_id", "starttime", "orderid", maintain_order=True)
    return table("icu/ingredientevents", rows.to_dict())
