"""`ehrlich read` on a MIMIC-IV small enough to be followed by eye: what was known when."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.small_mimic import TABLES, changed, rows_of, write_mimic

from ehrlich.charts.readers import ReadConfig, plan_read, read_source
from ehrlich.charts.readers.dictionary import Policy, load_dictionary
from ehrlich.charts.timeline import FIELDS, Charts
from ehrlich.charts.validate import problems_of

QUIET = ReadConfig(workers=1, quiet=True)
Row = dict[str, Any]


def read(root: Path, out: Path, policy: Policy = "strict", **settings: Any) -> Charts:
    config = ReadConfig(policy=policy, workers=1, quiet=True, **settings)
    read_source(config, root, out)
    charts = Charts(out)
    assert problems_of(charts) == []
    return charts


def all_rows(charts: Charts) -> pl.DataFrame:
    """Every measurement with fields, by subject, in the charts' order."""
    rows = pl.concat(charts.read(shard, fields=True) for shard in charts.shards())
    return rows.sort("subject_id", maintain_order=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mimic(tmp_path_factory.mktemp("mimic"))


@pytest.fixture(scope="module")
def strict(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Charts:
    return read(source, tmp_path_factory.mktemp("out") / "strict")


@pytest.fixture(scope="module")
def compat(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Charts:
    return read(source, tmp_path_factory.mktemp("out") / "compat", "compat")


def timed(charts: Charts, table: str) -> list[tuple[str | None, str | None, str | None]]:
    """(time, known, ended) of a table's measurements, as text without the century."""
    rows = all_rows(charts).filter(pl.col("table") == table)
    shown = rows.select(
        pl.col(name).dt.to_string("%y-%m-%d %H:%M:%S").alias(name)
        for name in ("time", "avail_time", "end_time")
    )
    return [(row[0], row[1], row[2]) for row in shown.rows()]


STRICT = {
    "patients": [(None, None, None)] * 3,
    "births": [("90-01-01 00:00:00", None, None), ("69-01-01 00:00:00", None, None),
               ("35-01-01 00:00:00", None, None)],
    "admissions": [("50-03-01 10:00:00", None, "50-03-05 15:00:00"),
                   ("60-05-02 07:15:00", None, "60-05-04 12:00:00")],
    "edstays": [("50-03-01 06:00:00", None, "50-03-01 11:00:00"),
                ("55-07-07 20:00:00", None, "55-07-07 23:30:00")],
    "triage": [("50-03-01 06:00:01", None, None), ("55-07-07 20:00:01", None, None)],
    # Known when stored; before it was taken means at once.
    "labevents": [("50-02-01 08:00:00", "50-02-01 09:30:00", None),
                  ("50-03-01 07:00:00", "50-03-01 08:10:00", None),
                  ("50-03-01 07:00:00", "50-03-01 07:12:00", None),
                  ("60-05-02 08:00:00", None, None)],
    # Without charttime: the end of its day.
    "microbiologyevents": [("50-03-01 07:30:00", "50-03-03 09:00:00", None),
                           ("50-03-01 23:59:59", "50-03-02 23:59:59", None)],
    "radiology": [("50-03-01 07:40:00", "50-03-01 08:55:00", None)],
    # An order ends when another one stops it.
    "poe": [("50-03-01 09:00:00", None, "50-03-02 09:00:00"), ("50-03-01 12:00:00", None, None),
            ("50-03-02 09:00:00", None, None)],
    # At its order or its start, whichever is earlier; a stop before that is none.
    "prescriptions": [("50-03-01 09:00:00", None, "50-03-02 09:00:00"),
                      ("50-03-01 11:00:00", None, None), ("50-03-01 13:00:00", None, None)],
    "emar": [("50-03-01 10:20:00", "50-03-01 10:21:00", None)],
    "omr": [("60-04-01 23:59:59", None, None)] * 2,
    "procedureevents": [("50-03-01 15:00:00", "50-03-01 15:10:00", "50-03-04 15:00:00")],
    "diagnosis": [("50-03-01 11:00:00", None, None), ("55-07-07 23:30:00", None, None)],
    "ed_discharges": [("50-03-01 11:00:00", None, None), ("55-07-07 23:30:00", None, None)],
    "icu_discharges": [("50-03-05 14:40:00", None, None)],
    "hospital_discharges": [("50-03-05 15:00:00", None, None), ("60-05-04 12:00:00", None, None)],
    # Billing is known at discharge.
    "diagnoses_icd": [("50-03-05 15:00:00", None, None)] * 2 + [("60-05-04 12:00:00", None, None)],
    "drgcodes": [("50-03-05 15:00:00", None, None)],
    "procedures_icd": [("60-05-02 23:59:59", "60-05-04 12:00:00", None)],
    "hcpcsevents": [("60-05-02 23:59:59", "60-05-04 12:00:00", None)],
    "discharge": [("60-05-04 23:59:59", "60-05-05 10:00:00", None)],
    # In hospital the minute; at home the end of the day.
    "deaths": [("50-03-05 14:30:00", None, None), ("60-06-30 23:59:59", None, None)],
}  # fmt: skip
COMPAT = {
    "labevents": [("50-02-01 08:00:00", None, None), ("50-03-01 07:00:00", None, None),
                  ("50-03-01 07:00:00", None, None), ("60-05-02 08:00:00", None, None)],
    "microbiologyevents": [("50-03-01 07:30:00", None, None)],
    "prescriptions": [("50-03-01 10:00:00", None, "50-03-02 09:00:00"),
                      ("50-03-01 11:00:00", None, None), ("50-03-01 13:00:00", None, None)],
    "omr": [("60-04-01 00:00:00", None, None)] * 2,
    "triage": [("50-03-01 06:00:01", None, None), ("55-07-07 20:00:01", None, None)],
    "diagnosis": [("50-03-01 11:00:00", None, None), ("55-07-07 23:30:00", None, None)],
    # After the last row of the stay, at its time.
    "diagnoses_icd": [("50-03-05 15:00:00", None, None)] * 2 + [("60-05-04 00:00:00", None, None)],
    "drgcodes": [("50-03-05 15:00:00", None, None)],
    "procedures_icd": [("60-05-02 00:00:00", None, None)],
    "discharge": [("60-05-04 00:00:00", None, None)],
}  # fmt: skip


@pytest.mark.parametrize("table", STRICT)
def test_strict_says_when_each_table_was_known(strict: Charts, table: str) -> None:
    assert timed(strict, table) == STRICT[table]


@pytest.mark.parametrize("table", COMPAT)
def test_compat_says_it_as_the_released_code_does(compat: Charts, table: str) -> None:
    assert timed(compat, table) == COMPAT[table]


def test_every_table_of_the_dictionary_is_in_the_charts(strict: Charts, compat: Charts) -> None:
    dictionary = load_dictionary("mimic_iv")
    policies: list[tuple[Charts, Policy]] = [(strict, "strict"), (compat, "compat")]
    for charts, policy in policies:
        order = dictionary.order(policy)
        assert set(all_rows(charts)["table"]) == set(order)
        assert charts.tables["table"].to_list() == list(order)


def test_ties_stand_in_the_order_of_the_policy(strict: Charts, compat: Charts) -> None:
    def tables_at(charts: Charts, time: str) -> list[str]:
        at = pl.col("time") == pl.lit(time).str.to_datetime("%Y-%m-%d %H:%M:%S")
        return all_rows(charts).filter(at)["table"].unique(maintain_order=True).to_list()

    assert tables_at(strict, "2150-03-05 15:00:00") == [
        "transfers", "hospital_discharges", "diagnoses_icd", "drgcodes",
    ]  # fmt: skip
    assert tables_at(compat, "2150-03-05 15:00:00") == ["transfers", "diagnoses_icd", "drgcodes"]
    assert tables_at(strict, "2150-03-01 06:00:00") == ["edstays", "transfers"]
    assert tables_at(compat, "2150-03-01 06:00:00") == ["transfers", "edstays"]
    assert tables_at(compat, "2150-03-01 11:00:00") == [
        "prescriptions", "transfers", "diagnosis", "icustays",
    ]  # fmt: skip


def fields_of(charts: Charts, table: str, place: int = 0) -> dict[str, str | None]:
    names = dict(charts.tables.select("table", FIELDS).iter_rows())[table]
    values = all_rows(charts).filter(pl.col("table") == table)[FIELDS][place]
    return dict(zip(names, values, strict=True))


def test_fields_items_and_values_come_from_lookups(strict: Charts) -> None:
    rows = all_rows(strict)
    assert fields_of(strict, "labevents", 1) == {
        "fluid": "Blood", "category": "Chemistry", "priority": "STAT", "comments": None,
    }  # fmt: skip
    assert fields_of(strict, "labevents", 2)["comments"] == 'Hemolyzed, "slightly"\nrepeat advised.'
    assert fields_of(strict, "poe", 1)["details"] == "Admit to: MICU\nCode status: Full"
    emar = fields_of(strict, "emar")
    assert emar["product"] == "Ceftriaxone Frozen Bag\nDiluent"
    assert emar["dose_given"] == "1"
    assert fields_of(strict, "prescriptions")["ndc"] == "00338500341"
    assert fields_of(strict, "prescriptions")["gsn"] == "008835"
    assert fields_of(strict, "prescriptions", 2)["ndc"] is None
    assert fields_of(strict, "medrecon")["gsn"] == "000002"
    items = dict(rows.select("code", "item").iter_rows())
    assert items["LAB//50912//mg/dL"] == "Creatinine"
    assert items["LAB//59999//mg/dL"] == "59999"
    assert items["CHART//220048//UNK"] == "Heart Rhythm"
    assert items["DIAGNOSIS//ICD//10//K8020"] == "K8020"
    assert items["RADIOLOGY//CHEST (PORTABLE AP)"] == "CHEST (PORTABLE AP)"
    assert items["DIAGNOSIS//ICD//9//5849"] == "Acute kidney failure, unspecified"
    lab = rows.filter(pl.col("code") == "LAB//50912//mg/dL").row(1, named=True)
    assert (lab["numeric_value"], lab["unit"], lab["flag"]) == (pytest.approx(2.4), "mg/dL", "abnormal")  # noqa: E501 # fmt: skip
    assert (lab["ref_low"], lab["ref_high"]) == (pytest.approx(0.4), pytest.approx(1.1))


def test_a_row_without_an_encounter_takes_that_of_its_time_in_strict_only(
    strict: Charts, compat: Charts
) -> None:
    def encounters(charts: Charts) -> list[int | None]:
        rows = all_rows(charts).filter(pl.col("table") == "labevents", pl.col("subject_id") == 1)
        return rows["encounter_id"].to_list()

    assert encounters(strict) == [None, 10, 10]
    assert encounters(compat) == [None, 10, None]


def test_late_values_are_masked_until_the_end(strict: Charts) -> None:
    def shown(hour: str, table: str) -> Row:
        at = pl.lit(f"2150-03-{hour}:00").str.to_datetime("%Y-%m-%d %H:%M:%S")
        seen = strict.visible(all_rows(strict).filter(pl.col("subject_id") == 1), at)
        row: Row = seen.filter(pl.col("table") == table).row(0, named=True)
        return row

    assert shown("02 10:00", "procedureevents")["numeric_value"] is None
    assert shown("02 10:00", "procedureevents")["end_time"] is None
    assert shown("04 15:00", "procedureevents")["numeric_value"] == 4320
    assert shown("01 10:30", "pharmacy")[FIELDS][2] is None
    assert shown("02 09:00", "pharmacy")[FIELDS][2] == "Discontinued"
    assert shown("01 12:00", "poe")[FIELDS][3] is None
    assert shown("02 09:00", "poe")[FIELDS][3] == "Inactive"


def test_nothing_of_the_outcome_is_seen_on_the_first_afternoon(strict: Charts) -> None:
    at = pl.lit("2150-03-01 16:00:00").str.to_datetime("%Y-%m-%d %H:%M:%S")
    seen = strict.visible(all_rows(strict).filter(pl.col("subject_id") == 1), at)
    told = " ".join(str(value) for row in seen.drop("row_id").rows() for value in row)
    for word in ("DIED", "MEDS_DEATH", "2150-03-05", "Sepsis", "SEPTICEMIA", "COLI", "4320",
                 "FinishedRunning", "Inactive", "Discontinued",
                 "datetime.datetime(2150, 3, 4"):  # fmt: skip
        assert word not in told
    assert set(seen["table"]) >= {"labevents", "chartevents", "diagnosis", "ed_discharges"}


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_form_and_folders_change_nothing(
    tmp_path: Path, strict: Charts, form: str, flat: bool
) -> None:
    charts = read(write_mimic(tmp_path / "in", form, flat=flat), tmp_path / "out")
    assert all_rows(charts).equals(all_rows(strict))
    assert charts.manifest.data_use == "credentialed"


def test_nested_release_folders_are_found(tmp_path: Path, strict: Charts) -> None:
    for module, folder in (("hosp", "mimiciv/3.1"), ("icu", "mimiciv/3.1"), ("ed", "mimic-iv-ed"),
                           ("note", "mimic-iv-note")):  # fmt: skip
        own = {place: text for place, text in TABLES.items() if place.startswith(module)}
        write_mimic(tmp_path / "in" / folder, tables=own)
    assert all_rows(read(tmp_path / "in", tmp_path / "out")).equals(all_rows(strict))


def test_a_path_with_brackets_blanks_and_stars_is_a_path(tmp_path: Path, strict: Charts) -> None:
    odd = tmp_path / "a [b] *c? {d}"
    for form in ("csv.gz", "parquet"):
        charts = read(write_mimic(odd / form, form), odd / f"out-{form}")
        assert all_rows(charts).equals(all_rows(strict))


@pytest.mark.parametrize("policy", ["strict", "compat"])
@pytest.mark.parametrize("module", ["icu", "ed", "note", "hosp, but two tables", "every lookup"])
def test_what_is_optional_may_be_absent(tmp_path: Path, module: str, policy: Policy) -> None:
    def absent(place: str) -> bool:
        folder, _, name = place.partition("/")
        if module == "every lookup":
            return name.startswith("d_") or name.endswith("_detail")
        if module.startswith("hosp"):
            return folder == "hosp" and name not in ("patients", "admissions")
        return folder == module

    tables = {place: text for place, text in TABLES.items() if not absent(place)}
    charts = read(write_mimic(tmp_path / "in", tables=tables), tmp_path / "out", policy)
    assert set(all_rows(charts)["subject_id"]) == {1, 2, 3}


@pytest.mark.parametrize("name", ["edstays", "poe", "icustays", "d_labitems", "emar_detail"])
def test_a_table_that_others_link_to_may_be_absent(tmp_path: Path, name: str) -> None:
    root = write_mimic(tmp_path / "in", "csv", tables=changed(**{name: None}))
    charts = read(root, tmp_path / "out")
    assert name not in set(all_rows(charts)["table"])
    assert name not in charts.manifest.counts["tables"]


def test_every_row_of_the_source_is_accounted_for(strict: Charts, compat: Charts) -> None:
    for charts in (strict, compat):
        counts = charts.manifest.counts
        for place, text in TABLES.items():
            name = place.partition("/")[2]
            if name in counts["not_in_a_chart"]:
                assert counts["not_in_a_chart"][name] == len(rows_of(text)) - 1
            elif name in counts["tables"]:
                line = counts["tables"][name]
                assert line["in"] == len(rows_of(text)) - 1
                assert line["in"] == line["measurements"] + line["completing"] + sum(line["dropped"].values())  # noqa: E501 # fmt: skip
            else:
                assert counts["reference_rows"][name] == len(rows_of(text)) - 1
    assert compat.manifest.counts["tables"]["microbiologyevents"]["dropped"] == {"no time": 1}
    assert "hcpcsevents" in compat.manifest.counts["tables"]
    assert strict.manifest.counts["oddities"] == {
        "prescriptions": {"ends before it starts (end not used)": 1}
    }


DIRT: list[tuple[str, Callable[[str], str], dict[str, int]]] = [
    ("labevents", lambda text: text + "905,1,10\n", {"wrong number of columns": 1}),
    ("labevents", lambda text: text + text.splitlines()[2] + "\n", {"the same row again": 1}),
    ("labevents", lambda text: text.replace("2150-02-01 08:00:00", "2150-02-31 08:00:00"),
     {"no time": 1}),
    ("labevents", lambda text: text.replace("902,1,10", "902,one,10"),
     {"no readable subject_id": 1}),
    ("services", lambda text: text.replace("SURG", "SU\0RG"), {"NUL byte in the row": 1}),
    ("transfers", lambda text: text.replace("\n", "\r\n\r\n"), {}),
    ("admissions", lambda text: text + text.splitlines()[1] + "\n", {"the same row again": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("table", "spoil", "dropped"), DIRT)
def test_dirt_costs_its_rows_and_is_counted(
    tmp_path: Path, table: str, spoil: Callable[[str], str], dropped: dict[str, int]
) -> None:
    text = next(text for place, text in TABLES.items() if place.endswith(f"/{table}"))
    root = write_mimic(tmp_path / "in", tables=changed(**{table: spoil(text)}))
    charts = read(root, tmp_path / "out")
    line = charts.manifest.counts["tables"][table]
    assert line["dropped"] == dropped
    assert line["in"] == line["measurements"] + sum(dropped.values())


def test_a_shard_of_which_nothing_is_left_does_no_harm(tmp_path: Path) -> None:
    labs = "\n".join(line.replace("2150", "x").replace("2160", "x") for line in TABLES["hosp/labevents"].splitlines())  # noqa: E501 # fmt: skip
    others = "".join(f"{i},{subject},,50912,never,,1,1,,,,,,\n" for i, subject in enumerate(range(100, 120)))  # noqa: E501 # fmt: skip
    root = write_mimic(tmp_path / "in", tables=changed(labevents=labs + "\n" + others))
    charts = read(root, tmp_path / "out", shard_rows=10)
    assert charts.splits["subject_id"].to_list() == [1, 2, 3]
    assert charts.manifest.counts["tables"]["labevents"]["dropped"] == {"no time": 24}


def test_a_limit_keeps_whole_subjects_of_every_split(tmp_path: Path) -> None:
    patients = "".join(f"{i},F,50,2150,2014 - 2016,\n" for i in range(10, 1000))
    root = write_mimic(tmp_path / "in", tables=changed(patients=TABLES["hosp/patients"] + patients))
    charts = read(root, tmp_path / "out", limit=100)
    assert charts.splits.height == 100
    shares = dict(charts.splits["split"].value_counts().iter_rows())
    assert 65 <= shares["train"] <= 92
    assert shares["tuning"] > 2 < shares["held_out"]
    one = read(root, tmp_path / "one", limit=1)
    assert one.splits.height == 1


def test_given_splits_are_kept(tmp_path: Path, source: Path) -> None:
    given = pl.DataFrame({"subject_id": [1, 2, 3], "split": ["tuning", "held_out", "pilot"]})
    given.write_parquet(tmp_path / "s.parquet")
    charts = read(source, tmp_path / "out", splits=tmp_path / "s.parquet")
    assert charts.splits.equals(given)
    assert list(charts.shards()) == ["held_out/0", "pilot/0", "tuning/0"]


def test_a_plan_is_the_manifest_without_counts(source: Path, strict: Charts) -> None:
    plan = plan_read(QUIET, source)
    assert plan.counts == {}
    assert plan.config_fingerprint == strict.manifest.config_fingerprint


def test_what_does_not_change_results_does_not_change_the_fingerprint(source: Path) -> None:
    def print_of(**settings: Any) -> str:
        return plan_read(ReadConfig(**settings), source).config_fingerprint

    same = {print_of(), print_of(workers=7), print_of(memory_gb=9), print_of(quiet=True)}
    others = {
        print_of(salt=1),
        print_of(policy="compat"),
        print_of(limit=2),
        print_of(shard_rows=9),
    }
    assert len(same) == 1
    assert len(others) == 4
    assert not same & others


# --- data use ---------------------------------------------------------------------------------


def test_a_manifest_copied_beside_other_records_does_not_free_them(
    tmp_path: Path, source: Path
) -> None:
    root = write_mimic(tmp_path / "in")
    claim = {"step": "hospital", "data_use": "synthetic", "counts": {"files": {}}}
    (root / "manifest.json").write_text(json.dumps(claim))
    assert plan_read(QUIET, root).data_use == "credentialed"
    (root / "manifest.json").write_text("[]")
    assert plan_read(QUIET, root).data_use == "credentialed"


@pytest.mark.parametrize("tampered", [None, "hosp/labevents.csv", "icu/d_items.csv"])
def test_a_hospital_of_ours_is_synthetic_until_a_file_of_it_is_another(
    tmp_path: Path, tampered: str | None
) -> None:
    from ehrlich.base.store import edge_fingerprint

    root = write_mimic(tmp_path / "in", "csv")
    listed = {
        path.relative_to(root).as_posix(): edge_fingerprint(path) for path in root.rglob("*.csv")
    }
    claim = {"step": "hospital", "data_use": "synthetic", "counts": {"files": listed}}
    (root / "manifest.json").write_text(json.dumps(claim))
    if tampered:
        path = root / tampered
        path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")
    expected = "credentialed" if tampered else "synthetic"
    assert plan_read(QUIET, root).data_use == expected
    (root / "manifest.json").write_text(json.dumps(claim | {"data_use": "open"}))
    assert plan_read(QUIET, root).data_use == "credentialed"


def test_reference_tables_of_an_earlier_run_are_not_remembered(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for label in ("Creatinine", "Something else"):
        text = TABLES["hosp/d_labitems"].replace("Creatinine", label)
        root = write_mimic(tmp_path / label, tables=changed(d_labitems=text))
        charts = read(root, out, fresh=True)
        assert label in set(all_rows(charts)["item"])
