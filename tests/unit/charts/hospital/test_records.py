"""What must hold between the tables of a written hospital."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ehrlich.charts.hospital.layout import COLUMNS
from ehrlich.charts.hospital.textbook import load_textbook

Reader = Callable[[str], pl.DataFrame]
TIME = "%Y-%m-%d %H:%M:%S"


def at(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime(TIME)


def test_every_table_has_its_columns_and_rows(hospital: Path) -> None:
    for name, columns in COLUMNS.items():
        with gzip.open(hospital / f"{name}.csv.gz", "rt") as lines:
            assert lines.readline().strip() == ",".join(columns), name
            assert lines.readline(), f"{name} is empty"


@pytest.mark.parametrize("module", ["hosp", "icu"])
def test_the_layout_is_that_of_the_open_demo(module: str, shared: Path) -> None:
    demo = shared / "data" / "mimic-iv-demo-2.2" / module
    for path in sorted(demo.glob("*.csv.gz")):
        with gzip.open(path, "rt") as lines:
            assert COLUMNS[f"{module}/{path.name[:-7]}"] == tuple(
                lines.readline().strip().split(",")
            )


@pytest.mark.parametrize(
    ("child", "parent", "key"),
    [
        ("hosp/pharmacy", "hosp/poe", "poe_id"),
        ("hosp/prescriptions", "hosp/pharmacy", "pharmacy_id"),
        ("hosp/emar", "hosp/poe", "poe_id"),
        ("hosp/emar_detail", "hosp/emar", "emar_id"),
        ("hosp/poe_detail", "hosp/poe", "poe_id"),
        ("icu/chartevents", "icu/icustays", "stay_id"),
        ("icu/inputevents", "icu/icustays", "stay_id"),
        ("icu/procedureevents", "icu/icustays", "stay_id"),
        ("icu/chartevents", "icu/d_items", "itemid"),
        ("icu/inputevents", "icu/d_items", "itemid"),
        ("hosp/labevents", "hosp/d_labitems", "itemid"),
        ("hosp/diagnoses_icd", "hosp/d_icd_diagnoses", "icd_code"),
        ("hosp/procedures_icd", "hosp/d_icd_procedures", "icd_code"),
        ("ed/triage", "ed/edstays", "stay_id"),
        ("ed/pyxis", "ed/edstays", "stay_id"),
        ("ed/medrecon", "ed/edstays", "stay_id"),
        ("hosp/admissions", "hosp/patients", "subject_id"),
        ("note/discharge", "hosp/admissions", "hadm_id"),
        ("note/radiology_detail", "note/radiology", "note_id"),
        ("hosp/labevents", "hosp/admissions", "hadm_id"),
    ],
)
def test_ids_link(table: Reader, child: str, parent: str, key: str) -> None:
    known = table(parent)[key].drop_nulls().unique()
    used = table(child)[key].drop_nulls().unique()
    assert len(used)
    assert used.is_in(known.implode()).all()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("hosp/patients", "subject_id"),
        ("hosp/admissions", "hadm_id"),
        ("icu/icustays", "stay_id"),
        ("ed/edstays", "stay_id"),
        ("hosp/transfers", "transfer_id"),
        ("hosp/poe", "poe_id"),
        ("hosp/pharmacy", "pharmacy_id"),
        ("hosp/emar", "emar_id"),
        ("hosp/labevents", "labevent_id"),
        ("hosp/microbiologyevents", "microevent_id"),
        ("note/radiology", "note_id"),
    ],
)
def test_ids_are_unique(table: Reader, name: str, key: str) -> None:
    assert table(name)[key].is_unique().all()


def test_deaths_agree_everywhere(table: Reader) -> None:
    stays = table("hosp/admissions").join(table("hosp/patients"), on="subject_id")
    died = stays.filter(pl.col("hospital_expire_flag") == "1")
    assert died.height
    assert (died["deathtime"] == died["dischtime"]).all()
    assert (died["deathtime"].str.head(10) == died["dod"]).all()
    assert (died["discharge_location"] == "DIED").all()
    alive = stays.filter(pl.col("hospital_expire_flag") == "0")
    assert alive["deathtime"].null_count() == alive.height
    later = stays.filter(pl.col("dod").is_not_null())
    assert (later["admittime"].str.head(10) <= later["dod"]).all()


def test_ed_visits_of_admitted_patients_agree(table: Reader) -> None:
    both = table("ed/edstays").join(table("hosp/admissions"), on="hadm_id", suffix="_hosp")
    assert both.height
    assert (both["intime"] == both["edregtime"]).all()
    assert (both["outtime"] == both["edouttime"]).all()
    assert (both["disposition"] == "ADMITTED").all()
    assert both.select((at("admittime") >= at("edregtime")).all()).item()
    assert both.select((at("admittime") <= at("edouttime")).all()).item()


def test_transfers_cover_a_stay_without_gap(table: Reader) -> None:
    moves = (
        table("hosp/transfers")
        .filter(pl.col("hadm_id").is_not_null())
        .sort("hadm_id", "intime", "outtime", nulls_last=True)
    )
    pairs = moves.with_columns(after=pl.col("intime").shift(-1).over("hadm_id")).filter(
        pl.col("after").is_not_null()
    )
    assert (pairs["outtime"] == pairs["after"]).all()
    ends = moves.filter(pl.col("eventtype") == "discharge").join(
        table("hosp/admissions"), on="hadm_id"
    )
    assert ends.height == table("hosp/admissions").height
    assert (ends["intime"] == ends["dischtime"]).all()


def test_icu_stays_are_transfers(table: Reader) -> None:
    joined = table("icu/icustays").join(
        table("hosp/transfers"), left_on="stay_id", right_on="transfer_id", suffix="_t"
    )
    assert joined.height == table("icu/icustays").height
    assert (joined["intime"] == joined["intime_t"]).all()
    assert (joined["outtime"] == joined["outtime_t"]).all()
    assert joined["careunit"].str.contains("Intensive|SICU|CCU").all()


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("hosp/emar", "charttime"),
        ("hosp/poe", "ordertime"),
        ("hosp/labevents", "charttime"),
        ("icu/chartevents", "charttime"),
        ("icu/inputevents", "starttime"),
    ],
)
def test_events_lie_within_their_stay(table: Reader, name: str, time: str) -> None:
    stays = table("hosp/admissions").select("hadm_id", "edregtime", "admittime", "dischtime")
    rows = table(name).join(stays, on="hadm_id").filter(pl.col(time).is_not_null())
    assert rows.height
    first = pl.coalesce("edregtime", "admittime").str.to_datetime(TIME)
    assert rows.select((at(time) >= first).all()).item()
    assert rows.select((at(time) <= at("dischtime")).all()).item()


def test_orders_come_before_what_they_order(table: Reader) -> None:
    orders = table("hosp/poe").select("poe_id", "ordertime")
    drugs = table("hosp/prescriptions").join(orders, on="poe_id")
    assert drugs.select((at("ordertime") <= at("starttime")).all()).item()
    given = table("hosp/emar").join(orders, on="poe_id")
    assert given.select((at("ordertime") <= at("charttime")).all()).item()
    ended = table("hosp/poe").filter(pl.col("discontinue_of_poe_id").is_not_null())
    both = ended.join(
        table("hosp/poe"), left_on="discontinue_of_poe_id", right_on="poe_id", suffix="_first"
    )
    assert both.height == ended.height
    assert (both["discontinued_by_poe_id_first"] == both["poe_id"]).all()
    assert both.select((at("ordertime") >= at("ordertime_first")).all()).item()


def test_results_come_after_the_draw_and_some_lack_a_time(table: Reader) -> None:
    labs = table("hosp/labevents")
    known = labs.filter(pl.col("storetime").is_not_null())
    assert known.select((at("storetime") > at("charttime")).all()).item()
    assert 0 < labs["storetime"].null_count() < 0.03 * labs.height
    assert labs["hadm_id"].null_count() > 0
    grown = table("hosp/microbiologyevents")
    assert grown.filter(pl.col("org_name").is_null())["comments"].null_count() == 0


def test_flags_are_what_the_range_says(table: Reader) -> None:
    labs = table("hosp/labevents").filter(
        pl.col("valuenum").is_not_null()
        & pl.col("ref_range_lower").is_not_null()
        & pl.col("ref_range_upper").is_not_null()
    )
    value, low, high = (
        pl.col(c).cast(pl.Float64) for c in ("valuenum", "ref_range_lower", "ref_range_upper")
    )
    outside = (value < low) | (value > high)
    assert labs.select((outside == (pl.col("flag") == "abnormal").fill_null(False)).all()).item()


def test_sex_fits_the_disease(table: Reader, hospital: Path) -> None:
    book = load_textbook()
    only = {key: c.female for key, c in book.conditions.items() if c.female in (0.0, 1.0)}
    truth = pl.read_parquet(hospital / "truth" / "encounters.parquet")
    people = table("hosp/patients").select(pl.col("subject_id").cast(pl.Int64), "gender")
    rows = truth.join(people, on="subject_id").filter(pl.col("condition").is_in(list(only)))
    assert rows.height
    wrong = rows.filter(
        pl.col("gender")
        != pl.col("condition").replace_strict(only).replace_strict({0.0: "M", 1.0: "F"})
    )
    assert wrong.height == 0


def test_a_summary_says_what_the_tables_say(table: Reader) -> None:
    notes = table("note/discharge").join(table("hosp/admissions"), on="hadm_id", suffix="_a")
    assert (notes["charttime"].str.head(10) == notes["dischtime"].str.head(10)).all()
    died = notes["hospital_expire_flag"] == "1"
    assert (notes["text"].str.contains("Discharge Disposition:\nExpired") == died).all()
    codes = table("hosp/diagnoses_icd").filter(pl.col("seq_num") == "1")
    assert codes["hadm_id"].n_unique() == table("hosp/admissions").height
    icu = table("icu/icustays")["hadm_id"].unique().implode()
    assert (
        notes["text"].str.contains("required intensive care") == notes["hadm_id"].is_in(icu)
    ).all()
    for section in (
        "Chief Complaint:",
        "Past Medical History:",
        "Brief Hospital Course:",
        "Discharge Medications:",
    ):
        assert notes["text"].str.contains(section, literal=True).all()


def test_severity_shows_but_not_exactly(hospital: Path, table: Reader) -> None:
    risks = pl.read_parquet(hospital / "truth" / "risks.parquet")
    first = risks.filter((pl.col("moment") == "hour") & (pl.col("place") == "ED")).unique(
        "stay_id", keep="first"
    )
    triage = table("ed/triage").with_columns(
        pl.col("stay_id").cast(pl.Int64), pl.col("acuity").cast(pl.Float64)
    )
    both = first.join(triage, on="stay_id").drop_nulls("acuity")
    link = both.select(pl.corr("severity", "acuity")).item()
    assert -0.95 < link < -0.3


def test_risks_are_null_exactly_where_nobody_is_at_risk(hospital: Path) -> None:
    risks = pl.read_parquet(hospital / "truth" / "risks.parquet")
    hours = risks.filter(pl.col("moment") == "hour")
    ed = hours.filter(pl.col("place") == "ED")
    assert ed["ed_hospitalization"].null_count() == 0
    assert ed["inpatient_mortality"].null_count() == ed.height
    ward = hours.filter(pl.col("place") == "ward")
    assert ward["length_of_stay_3d"].null_count() == 0
    assert ward["icu_mortality_1d"].null_count() == ward.height
    icu = hours.filter(pl.col("place") == "ICU")
    assert icu["icu_mortality_14d"].null_count() == 0
    values = risks.drop("subject_id", "hadm_id", "stay_id", "time", "moment", "place", "severity")
    for column in values.iter_columns():
        assert column.drop_nulls().is_between(-1e-5, 1 + 1e-5).all(), column.name
