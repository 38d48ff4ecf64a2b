"""What must hold between the tables of a written hospital."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ehrlich.charts.hospital import HospitalConfig, run
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


def joined(table: Reader, *itemids: int) -> pl.DataFrame:
    """The named labs of each moment side by side."""
    labs = table("hosp/labevents").select(
        "subject_id", "charttime", pl.col("itemid").cast(pl.Int64), pl.col("valuenum").cast(float)
    )
    rows = labs.filter(pl.col("itemid").is_in(itemids)).drop_nulls("valuenum")
    wide = rows.pivot(on="itemid", index=["subject_id", "charttime"], values="valuenum")
    return wide.drop_nulls()


def test_labs_of_one_tube_agree(table: Reader) -> None:
    gap = joined(table, 50868, 50983, 50902, 50882)
    assert gap.height
    expected = pl.col("50983") - pl.col("50902") - pl.col("50882")
    assert gap.select((expected == pl.col("50868")).all()).item()
    clotting = joined(table, 51274, 51237)
    assert clotting.select((pl.col("51274") / 11.6 - pl.col("51237")).abs().max()).item() < 0.06
    gas = joined(table, 50820, 50818, 50804)
    bicarbonate = pl.col("50804") - 0.0307 * pl.col("50818")
    ph = 6.1 + (bicarbonate / (0.0307 * pl.col("50818"))).log10()
    assert gas.select((ph - pl.col("50820")).abs().max()).item() < 0.06
    cells = joined(table, 51221, 51279, 51250)
    volume = 10 * pl.col("51221") / pl.col("51279")
    assert cells.select((volume - pl.col("51250")).abs().max()).item() < 2


def test_old_kidney_failure_shows_at_every_visit(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(HospitalConfig(patients=500, seed=2, quiet=True), out)
    truth = pl.read_parquet(out / "truth" / "encounters.parquet")
    ill = truth.filter(
        (pl.col("condition") == "end_stage_renal_disease") & (pl.col("role") == "comorbid")
    )
    labs = pl.read_csv(out / "hosp" / "labevents.csv.gz", infer_schema_length=None)
    creatinine = labs.filter(
        (pl.col("itemid") == 50912) & pl.col("hadm_id").is_in(ill["hadm_id"].implode())
    )["valuenum"].drop_nulls()
    assert len(creatinine)
    assert creatinine.is_between(3.2, 16).all()
    own = truth.filter(pl.col("condition") == "acute_kidney_injury")
    assert not own["hadm_id"].drop_nulls().is_in(ill["hadm_id"].drop_nulls().implode()).any()


def test_mean_pressure_lies_between_the_two(table: Reader) -> None:
    chart = table("icu/chartevents").with_columns(pl.col("valuenum").cast(float))
    for upper, lower, mean in (("220179", "220180", "220181"), ("220050", "220051", "220052")):
        rows = chart.filter(pl.col("itemid").is_in([upper, lower, mean]))
        wide = rows.pivot(on="itemid", index=["stay_id", "charttime"], values="valuenum")
        wide = wide.drop_nulls()
        expected = (pl.col(upper) + 2 * pl.col(lower)) / 3
        assert wide.height
        assert wide.select((expected - pl.col(mean)).abs().max()).item() < 6


def test_nobody_takes_two_of_a_kind_at_home(table: Reader) -> None:
    book = load_textbook()
    groups = {c: g.key for g in book.drug_groups.values() for c in g.classes}
    kind = {d.name.lower(): groups.get(d.drug_class) for d in book.drugs.values()}
    taken = table("ed/medrecon").with_columns(
        kind=pl.col("name").str.to_lowercase().replace_strict(kind, default=None)
    )
    many = taken.drop_nulls("kind").group_by("stay_id", "kind").agg(pl.col("name").n_unique())
    assert many.height
    assert (many["name"] == 1).all()


def test_ventilation_has_one_code_of_its_length(table: Reader) -> None:
    codes = table("hosp/procedures_icd").filter(
        pl.col("icd_code").is_in(["5A1935Z", "5A1945Z", "5A1955Z", "9671", "9672"])
    )
    assert codes.height
    assert codes["hadm_id"].is_unique().all()


def test_notes_choose_their_words(table: Reader) -> None:
    notes = table("note/discharge")["text"]
    assert not notes.str.contains(r"\bin (some|most)\b").any()
    assert notes.str.contains("Allergies:\nPenicillins", literal=True).any()
    assert notes.str.contains("No Known Allergies").any()
    assert notes.str.extract(r"Social History:\n(.*)").n_unique() > 10


def test_severity_of_old_diseases_is_their_own(hospital: Path) -> None:
    truth = pl.read_parquet(hospital / "truth" / "encounters.parquet")
    own = truth.filter(pl.col("role") == "comorbid")
    acute = truth.filter(pl.col("role") == "principal").select(
        "hadm_id", "onset", "subject_id", acute="severity"
    )
    both = own.join(acute, on=["subject_id", "onset"])
    assert abs(both.select(pl.corr("severity", "acute")).item()) < 0.2
