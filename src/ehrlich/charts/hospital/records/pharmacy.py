"""pharmacy, prescriptions: how drug orders were filled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Bools, Ints
from ehrlich.charts.hospital.course import HOUR_S
from ehrlich.charts.hospital.records.drugs import DrugOrders
from ehrlich.charts.hospital.records.frames import blank, ids, picked, providers, table, times
from ehrlich.charts.hospital.scene import Scene


@dataclass(frozen=True, slots=True)
class Links:
    """Ids by which other tables name a drug order, one row a DrugOrders row."""

    poe_id: pl.Series
    poe_seq: pl.Series
    pharmacy_id: Ints
    ordered_s: Ints


def drug_columns(scene: Scene, orders: DrugOrders, *names: str) -> dict[str, pl.Series]:
    book = list(scene.arrays.book.drugs.values())
    found = {}
    for name in names:
        values = [getattr(d, name) for d in book]
        found[name] = picked([None if v is None else _plain(v) for v in values], orders.drug)
    return found


def _plain(value: object) -> str:
    """A number without needless decimals, or the text."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def pharmacy_records(
    scene: Scene, orders: DrugOrders, *, links: Links, ended: Bools, rng: np.random.Generator
) -> pl.DataFrame:
    n = len(orders.encounter)
    to_the_end = orders.stop_s >= scene.left_s[orders.encounter] - 2 * HOUR_S
    status = np.where(to_the_end, 0, np.where(ended, 1, 2))
    drug = drug_columns(scene, orders, "name", "proc_type", "route", "frequency", "per_24h")
    book = list(scene.arrays.book.drugs.values())
    infused = np.array([d.proc_type == "IV Large Volume" for d in book])[orders.drug]
    unit = np.array([d.proc_type == "Unit Dose" for d in book])[orders.drug]
    once = np.array([d.frequency.startswith("ONCE") for d in book])[orders.drug]
    entered = links.ordered_s + rng.integers(20, 900, n)
    return table(
        "hosp/pharmacy",
        {
            "subject_id": pl.Series(scene.of_subject[orders.encounter]),
            "hadm_id": ids(scene.hadm_id[orders.encounter]),
            "pharmacy_id": pl.Series(links.pharmacy_id),
            "poe_id": links.poe_id,
            "starttime": times(orders.start_s),
            "stoptime": times(_stop_s(scene, orders)),
            "medication": drug["name"],
            "proc_type": drug["proc_type"],
            "status": picked(
                ["Discontinued via patient discharge", "Discontinued", "Expired"], status
            ),
            "entertime": times(entered),
            "verifiedtime": times(entered + rng.integers(5, 1200, n), rng.random(n) < 0.01),
            "route": drug["route"],
            "frequency": drug["frequency"],
            "disp_sched": picked(
                ["08", "08, 20", "08, 14, 20", "00, 06, 12, 18"], _schedule(scene, orders)
            ),
            "infusion_type": picked(["C"], np.where(infused, 0, -1)),
            "doses_per_24_hrs": drug["per_24h"],
            "duration": picked(["1"], np.where(once, 0, -1)),
            "duration_interval": picked(["Ongoing", "Doses"], once.astype(int)),
            "expiration_value": picked(["36", "365"], unit.astype(int)),
            "expiration_unit": picked(["Hours", "Days"], unit.astype(int)),
            "dispensation": picked(
                ["Omnicell", "IV MED", "Floor Stock Item"],
                np.where(unit, 0, np.where(rng.random(n) < 0.7, 1, 2)),
            ),
        },
    )


def _stop_s(scene: Scene, orders: DrugOrders) -> Ints:
    """Stop times as ordered; an order that runs to discharge often stops a little after it."""
    over = scene.left_s[orders.encounter] // HOUR_S * HOUR_S + HOUR_S * 2
    return np.asarray(np.maximum(np.minimum(orders.stop_s, over), orders.start_s + HOUR_S))


def _schedule(scene: Scene, orders: DrugOrders) -> Ints:
    times_a_day = np.array([d.per_24h or 0 for d in scene.arrays.book.drugs.values()])[orders.drug]
    return np.asarray(
        np.select(
            [times_a_day == 1, times_a_day == 2, times_a_day == 3, times_a_day == 4],
            [0, 1, 2, 3],
            -1,
        )
    )


def prescription_records(
    scene: Scene, orders: DrugOrders, *, links: Links, rng: np.random.Generator
) -> pl.DataFrame:
    """MAIN rows, and a BASE row for what is mixed into a bag."""
    drug = drug_columns(
        scene,
        orders,
        "name",
        "formulary_cd",
        "gsn",
        "ndc",
        "strength",
        "form",
        "dose",
        "dose_unit",
        "route",
        "per_24h",
    )
    n = len(orders.encounter)
    frame = pl.DataFrame(
        {
            "subject_id": scene.of_subject[orders.encounter],
            "hadm_id": scene.hadm_id[orders.encounter],
            "pharmacy_id": links.pharmacy_id,
            "poe_id": links.poe_id,
            "poe_seq": links.poe_seq,
            "order_provider_id": providers(rng, n, missing=0.04),
            "starttime": times(orders.start_s),
            "stoptime": times(_stop_s(scene, orders)),
            "drug_type": ["MAIN"] * n,
            "drug": drug["name"],
            "formulary_drug_cd": drug["formulary_cd"],
            "gsn": drug["gsn"],
            "ndc": drug["ndc"].set(pl.Series(rng.random(n) < 0.09), "0"),
            "prod_strength": drug["strength"],
            "form_rx": blank(n),
            "dose_val_rx": drug["dose"],
            "dose_unit_rx": drug["dose_unit"],
            "form_val_disp": pl.Series(["1"] * n, dtype=pl.String),
            "form_unit_disp": drug["form"],
            "doses_per_24_hrs": drug["per_24h"],
            "route": drug["route"],
        }
    )
    rows = pl.concat([frame, _bags(scene, orders, frame, rng)]).sort(
        "subject_id", "starttime", "pharmacy_id", "drug_type", maintain_order=True
    )
    return table("hosp/prescriptions", rows.to_dict())


def _bags(
    scene: Scene, orders: DrugOrders, frame: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    """BASE rows: the bag that a piggyback drug is mixed into."""
    book = scene.arrays.book.drugs.values()
    piggyback = np.array([d.proc_type == "IV Piggyback" and d.form != "BAG" for d in book])
    mixed = np.flatnonzero(piggyback[orders.drug])
    dextrose = (rng.random(len(mixed)) < 0.25).astype(int)
    return frame[mixed].with_columns(
        drug_type=pl.lit("BASE"),
        drug=picked(["0.9% Sodium Chloride", "5% Dextrose"], dextrose),
        formulary_drug_cd=pl.lit("NS100"),
        gsn=pl.lit("001210"),
        ndc=pl.lit("00338004938"),
        prod_strength=pl.lit("100 mL Bag"),
        dose_val_rx=pl.lit("100"),
        dose_unit_rx=pl.lit("mL"),
        form_unit_disp=pl.lit("mL"),
        form_val_disp=pl.lit("100"),
    )
