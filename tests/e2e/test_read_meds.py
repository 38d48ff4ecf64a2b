"""`ehrlich read` on MEDS datasets of other tools: all that they hold, as they meant it."""

from __future__ import annotations

import io
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import meds
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.small_mimic import write_mimic

from ehrlich.base.errors import ConfigError, DataError
from ehrlich.charts.readers import ReadConfig, plan_read, read_source
from ehrlich.charts.timeline import FIELDS, Charts
from ehrlich.charts.validate import problems_of

CONFIG = ReadConfig(workers=1, quiet=True)
Row = dict[str, Any]


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2150, 3, day, hour, minute)


def event(subject: int, time: datetime | None, code: str, **more: Any) -> Row:
    return {"subject_id": subject, "time": time, "code": code, **more}


ONE = [
    event(1, None, "GENDER//F"),
    event(1, datetime(2090, 1, 1), "MEDS_BIRTH"),
    event(1, at(1, 6), "LAB//50912//mg/dL", numeric_value=2.4, unit="mg/dL"),
    event(1, at(1, 10), "HOSPITAL_ADMISSION//EW EMER.", hadm_id=10),
    event(1, at(1, 11), "ICU_ADMISSION//MICU", hadm_id=10),
    event(1, at(1, 12), "LAB//50912//mg/dL", numeric_value=1.4, unit="mg/dL"),
    event(1, at(2, 12), "ICU_DISCHARGE//MICU"),
    event(1, at(3, 12), "LAB//50912//mg/dL", text_value="haemolysed"),
    event(1, at(4, 12), "HOSPITAL_DISCHARGE//HOME", hadm_id=10),
    event(1, at(9, 12), "LAB//50813//mmol/L", numeric_value=1.0),
]
TWO = [event(2, None, "GENDER//M"), event(2, at(1), "MEDS_DEATH")]
TYPES: dict[str, Any] = {
    "subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String,
    "numeric_value": pl.Float32, "text_value": pl.String, "unit": pl.String, "hadm_id": pl.Int64,
}  # fmt: skip


def frame(rows: list[Row], **types: Any) -> pl.DataFrame:
    names = dict.fromkeys(["subject_id", "time", "code", *(name for row in rows for name in row)])
    schema: dict[str, Any] = {name: (TYPES | types).get(name, pl.String()) for name in names}
    return pl.DataFrame(rows, schema=schema, orient="row")


def write(root: Path, **files: list[Row] | pl.DataFrame) -> Path:
    """Each file under data/; `a__b` is the file b in the folder a."""
    for name, rows in files.items():
        path = root / "data" / f"{name.replace('__', '/')}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        (frame(rows) if isinstance(rows, list) else rows).write_parquet(path)
    return root


def describe(root: Path, **files: pl.DataFrame) -> None:
    (root / "metadata").mkdir(exist_ok=True)
    for name, table in files.items():
        table.write_parquet(root / "metadata" / f"{name}.parquet")


def read(root: Path, out: Path, **settings: Any) -> Charts:
    config = ReadConfig(workers=1, quiet=True, **settings)
    manifest = read_source(config, root, out)
    charts = Charts(out)
    assert problems_of(charts) == []
    counts = manifest.counts
    assert counts["rows_in"] == counts["measurements"] + counts["dropped"]
    return charts


def all_rows(charts: Charts) -> pl.DataFrame:
    rows = pl.concat(charts.read(shard, fields=True) for shard in charts.shards())
    return rows.sort("subject_id", maintain_order=True)


# --- layouts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["data", "flat", "one folder a split", "upstream metadata"])
def test_any_layout_of_files_is_one_dataset(tmp_path: Path, layout: str) -> None:
    root = tmp_path / ("metadata/in" if layout == "upstream metadata" else "in")
    if layout == "one folder a split":
        write(root, train__0=ONE, held_out__0=TWO)
    else:
        write(root, first=ONE, second=TWO)
    if layout == "flat":
        (root / "data").rename(tmp_path / "flat")
        root = tmp_path / "flat"
    charts = read(root, tmp_path / "out", dictionary="meds")
    rows = all_rows(charts)
    assert rows.select("subject_id", "time", "code").rows() == [
        (row["subject_id"], row["time"], row["code"]) for row in (*ONE, *TWO)
    ]
    if layout == "one folder a split":
        assert dict(charts.splits.iter_rows()) == {1: "train", 2: "held_out"}


def test_the_datasets_own_splits_are_kept_and_the_users_win(tmp_path: Path) -> None:
    root = write(tmp_path / "in", first=ONE, second=TWO)
    own = pl.DataFrame({"subject_id": [1, 2], "split": ["tuning", "train"]})
    describe(root, subject_splits=own)
    assert read(root, tmp_path / "own").splits.equals(own)
    mine = pl.DataFrame({"subject_id": [1, 2], "split": ["held_out", "pilot"]})
    mine.write_parquet(tmp_path / "mine.parquet")
    assert read(root, tmp_path / "mine", splits=tmp_path / "mine.parquet").splits.equals(mine)


def test_files_may_differ_in_columns_and_types(tmp_path: Path) -> None:
    second = frame(TWO).with_columns(
        pl.lit(7.0, dtype=pl.Float64).alias("numeric_value"), pl.lit(3).alias("site"),
        pl.col("time").cast(pl.Datetime("ns")),
    )  # fmt: skip
    third = frame([event(3, at(1), "OTHER")]).select("code", "time", "subject_id")
    root = write(tmp_path / "in", a=ONE, b=second, c=third)
    rows = all_rows(read(root, tmp_path / "out"))
    assert rows.height == len(ONE) + len(TWO) + 1
    other = rows.filter(pl.col("subject_id") == 2)
    assert other["numeric_value"].to_list() == [7.0, 7.0]
    assert other[FIELDS].to_list() == [["3"], ["3"]]
    assert other["time"].to_list() == [None, at(1)]
    assert rows.filter(pl.col("subject_id") != 2)[FIELDS].null_count() == 11


def test_numbers_that_are_none_become_null_and_texts_of_any_width_are_read(tmp_path: Path) -> None:
    rows = [event(1, at(h + 1), "X", numeric_value=value) for h, value in
            enumerate([1.5, float("nan"), float("inf"), 1e300, None])]  # fmt: skip
    table = frame(rows, numeric_value=pl.Float64).to_arrow()
    table = table.set_column(2, "code", table["code"].cast(pa.string()).dictionary_encode())
    path = tmp_path / "in" / "data" / "a.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    found = all_rows(read(tmp_path / "in", tmp_path / "out"))
    assert found["numeric_value"].to_list() == [1.5, None, None, None, None]
    assert found["code"].to_list() == ["X"] * 5


def test_rows_need_not_be_sorted_and_zones_become_utc(tmp_path: Path) -> None:
    shuffled = frame([ONE[i] for i in (5, 9, 0, 3, 1, 8, 2, 7, 6, 4)]).with_columns(
        pl.col("time").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    )
    charts = read(write(tmp_path / "in", a=shuffled), tmp_path / "out")
    assert all_rows(charts)["time"].to_list() == [row["time"] for row in ONE]


def test_rows_of_one_time_keep_the_order_of_their_table_and_file(tmp_path: Path) -> None:
    codes = ["ZZZ//1", "LAB//2", "HOSPITAL_ADMISSION//3", "LAB//1", "ZZZ//0"]
    root = write(tmp_path / "in", a=[event(1, at(1), code) for code in codes])
    assert all_rows(read(root, tmp_path / "out"))["code"].to_list() == [
        "HOSPITAL_ADMISSION//3", "LAB//2", "LAB//1", "ZZZ//1", "ZZZ//0",
    ]  # fmt: skip


# --- what is taken from where -----------------------------------------------------------------


def test_columns_beyond_meds_are_aliased_or_kept_as_fields(tmp_path: Path) -> None:
    rows = [
        event(1, at(1), "LAB//1", hadm_id=5, icustay_id=6, end=at(2), unit="mg", site="A", n=3,
              tags=["x", "y"], row="r", bucket="b", description="theirs", fields="f", row_id=9),
        event(1, at(3), "LAB//1"),
    ]  # fmt: skip
    types = {"icustay_id": pl.Int64, "end": pl.Datetime("us"), "n": pl.Int64, "row_id": pl.Int64,
             "tags": pl.List(pl.String)}  # fmt: skip
    charts = read(
        write(tmp_path / "in", a=frame(rows, **types)), tmp_path / "out", dictionary="meds"
    )
    row, bare = all_rows(charts).to_dicts()
    assert (row["encounter_id"], row["stay_id"], row["end_time"], row["unit"]) == (
        5,
        6,
        at(2),
        "mg",
    )
    names = charts.tables.row(0, named=True)["fields"]
    assert dict(zip(names, row[FIELDS], strict=True)) == {
        "site": "A", "n": "3", "tags": "x\ny", "row": "r", "bucket": "b", "description": "theirs",
        "fields": "f",
    }  # fmt: skip
    assert (row["item"], bare["item"]) == ("1", "1")
    assert bare[FIELDS] is None
    assert row["row_id"] != 9


def test_items_come_from_codes_parquet_else_from_the_code(tmp_path: Path) -> None:
    root = write(tmp_path / "in", a=ONE)
    known = {"code": ["LAB//50912//mg/dL"], "description": ["Creatinine"]}
    describe(root, codes=pl.DataFrame(known | {"parent_codes": [["LOINC/2160-0"]]}))
    charts = read(root, tmp_path / "out")
    items = dict(all_rows(charts).select("code", "item").iter_rows())
    assert items["LAB//50912//mg/dL"] == "Creatinine"
    assert items["LAB//50813//mmol/L"] == "L"
    assert items["ICU_ADMISSION//MICU"] == "MICU"
    codes = pl.read_parquet(tmp_path / "out/metadata/codes.parquet")
    line = codes.filter(pl.col("code") == "LAB//50912//mg/dL").row(0, named=True)
    assert (line["description"], line["parent_codes"], line["rows"]) == ("Creatinine", ["LOINC/2160-0"], 3)  # noqa: E501 # fmt: skip


def test_encounters_and_stays_are_made_from_pairs_of_codes(tmp_path: Path) -> None:
    charts = read(write(tmp_path / "in", a=ONE), tmp_path / "out", dictionary="mimic_iv_meds")
    rows = all_rows(charts)
    assert rows["encounter_id"].to_list() == [None, None, None, *[10] * 6, None]
    start = rows["row_id"][4]
    assert rows["stay_id"].to_list() == [None] * 4 + [start] * 3 + [None] * 3


def test_a_stay_without_an_end_lasts_until_the_next(tmp_path: Path) -> None:
    rows = [
        event(1, at(1), "HOSPITAL_ADMISSION//A", hadm_id=1), event(1, at(2), "LAB//1"),
        event(1, at(3), "HOSPITAL_ADMISSION//A", hadm_id=3), event(1, at(4), "LAB//1"),
        event(1, at(5), "HOSPITAL_DISCHARGE//A"), event(1, at(6), "LAB//1"),
        event(1, at(7), "HOSPITAL_ADMISSION//A", hadm_id=7), event(1, at(8), "LAB//1"),
    ]  # fmt: skip
    charts = read(write(tmp_path / "in", a=rows), tmp_path / "out", dictionary="mimic_iv_meds")
    assert all_rows(charts)["encounter_id"].to_list() == [1, 1, 3, 3, 3, None, 7, 7]


def test_ehrshot_names_its_tables_in_a_column(tmp_path: Path) -> None:
    rows = [
        event(1, datetime(1990, 1, 1), "MEDS_BIRTH", omop_table="person"),
        event(1, at(1), "Visit/IP", omop_table="visit_occurrence", visit_id=7, end=at(3)),
        event(1, at(1, 2), "LOINC/2160-0", omop_table="measurement", visit_id=7, numeric_value=1.0),
        event(1, at(1, 2), "SNOMED/1", omop_table="observation", visit_id=7),
        event(1, at(1, 3), "STANFORD_NOTE/x", omop_table="note", visit_id=7),
        event(1, at(1, 4), "RxNorm/9", visit_id=7),
    ]  # fmt: skip
    table = frame(rows, visit_id=pl.Int64, end=pl.Datetime("us"))
    charts = read(write(tmp_path / "in", a=table), tmp_path / "out")
    assert charts.manifest.config["dictionary"]["source"] == "ehrshot_meds"
    assert charts.manifest.data_use == "credentialed"
    found = all_rows(charts)
    assert found.select("table", "encounter_id").rows() == [
        ("person", None), ("visit_occurrence", 7), ("measurement", 7), ("observation", 7),
        ("note", 7), ("drug_exposure", 7),
    ]  # fmt: skip
    assert found["end_time"].to_list()[1] == at(3)
    assert set(charts.tables["table"]) >= {"note", "observation", "drug_exposure", "others"}


MIMIC_CODES = {
    "GENDER//F": "patients", "MEDS_BIRTH": "patients", "MEDS_DEATH": "deaths",
    "ED_REGISTRATION": "edstays", "ED_OUT//HOME": "ed_discharges",
    "HOSPITAL_ADMISSION//URGENT//X": "admissions", "INSURANCE//Other": "admissions",
    "HOSPITAL_DISCHARGE//DIED": "hospital_discharges", "TRANSFER_TO//ED//Emergency": "transfers",
    "ICU_ADMISSION//MICU": "icustays", "ICU_DISCHARGE//MICU": "icu_discharges",
    "LAB//50912//mg/dL": "labevents", "LAB//RESULT//51221//%": "labevents",
    "LAB//220045//bpm": "chartevents", "MEDICATION//START//Aspirin": "pharmacy",
    "MEDICATION//Aspirin//Administered": "emar", "INFUSION_START//221906": "inputevents",
    "SUBJECT_FLUID_OUTPUT//226559//ml": "outputevents",
    "PROCEDURE//START//225792": "procedureevents",
    "PROCEDURE//ICD//10//0FT44ZZ": "procedures_icd", "DIAGNOSIS//ICD//9//5849": "diagnoses_icd",
    "DRG//HCFA//870": "drgcodes", "HCPCS//99218": "hcpcsevents", "Blood Pressure": "omr",
}  # fmt: skip


def test_codes_of_the_public_mimic_extraction_find_their_tables(tmp_path: Path) -> None:
    root = write(tmp_path / "in", a=[event(1, at(1), code) for code in MIMIC_CODES])
    (root / "metadata").mkdir()
    (root / "metadata/dataset.json").write_text(json.dumps({"dataset_name": "MIMIC-IV"}))
    charts = read(root, tmp_path / "out")
    assert charts.manifest.config["dictionary"]["source"] == "mimic_iv_meds"
    assert dict(all_rows(charts).select("code", "table").iter_rows()) == MIMIC_CODES


def test_rows_without_a_code_or_a_subject_are_counted(tmp_path: Path) -> None:
    rows = [*ONE, event(1, at(20), None), event(None, at(20), "LAB//1")]  # type: ignore[arg-type]
    charts = read(write(tmp_path / "in", a=rows), tmp_path / "out")
    assert charts.manifest.counts["tables"]["meds"] == {
        "in": 12, "measurements": 10, "completing": 0,
        "dropped": {"no code": 1, "no readable subject_id": 1},
    }  # fmt: skip


# --- what is refused --------------------------------------------------------------------------


def test_a_subject_in_two_files_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "in", a=ONE, b=[event(1, at(1), "X")], c=TWO)
    with pytest.raises(DataError, match="1 subjects stand in more than one file") as caught:
        read_source(CONFIG, root, tmp_path / "out")
    assert "a.parquet" in caught.value.where
    assert "b.parquet" in caught.value.where
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_and_a_dataset_without_codes_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "in", a=ONE)
    describe(root, codes=pl.DataFrame({"description": ["x"]}))
    with pytest.raises(DataError, match="has no column code"):
        read_source(CONFIG, root, tmp_path / "out")
    (root / "data/b.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(DataError, match="damaged or cut short"):
        read_source(CONFIG, root, tmp_path / "out")


def test_subjects_whose_id_is_text_are_read_and_others_dropped(tmp_path: Path) -> None:
    table = frame([*ONE, event(2, at(1), "X")]).with_columns(
        pl.when(pl.col("subject_id") == 2).then(pl.lit("two"))
        .otherwise(pl.col("subject_id").cast(pl.String)).alias("subject_id")
    )  # fmt: skip
    charts = read(write(tmp_path / "in", a=table), tmp_path / "out")
    assert all_rows(charts).height == len(ONE)


def test_a_split_without_a_name_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "in", a=ONE)
    describe(root, subject_splits=pl.DataFrame({"subject_id": [1], "split": [None]}, schema_overrides={"split": pl.String}))  # noqa: E501 # fmt: skip
    with pytest.raises(ConfigError, match="lack a split"):
        read_source(CONFIG, root, tmp_path / "out")


# --- our own charts as a MEDS dataset ---------------------------------------------------------


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    read_source(CONFIG, write_mimic(tmp_path / "mimic"), tmp_path / "charts")
    return Charts(tmp_path / "charts")


def test_charts_are_a_meds_dataset_themselves(tmp_path: Path, charts: Charts) -> None:
    again = read(charts.folder, tmp_path / "again")
    assert again.manifest.data_use == charts.manifest.data_use == "credentialed"
    assert again.splits.equals(charts.splits)
    names = ["subject_id", "time", "code", "numeric_value", "text_value", "table", "avail_time",
             "end_time", "unit", "flag", "ref_low", "encounter_id", "item"]  # fmt: skip
    rows, before = (all_rows(each).select(names).sort(names[:6]) for each in (again, charts))
    assert rows.drop("encounter_id", "item").equals(before.drop("encounter_id", "item"))
    for name in ("encounter_id", "item"):
        told = before[name].is_not_null()
        assert rows.filter(told)[name].equals(before.filter(told)[name])


def test_a_manifest_copied_beside_another_dataset_does_not_free_it(
    tmp_path: Path, charts: Charts
) -> None:
    root = write(tmp_path / "in", train__0=ONE)
    manifest = json.loads((charts.folder / "manifest.json").read_text())
    freed = json.dumps(manifest | {"data_use": "synthetic"})
    (root / "manifest.json").write_text(freed)
    assert plan_read(CONFIG, root).data_use == "phi"
    (charts.folder / "manifest.json").write_text(freed)
    assert plan_read(CONFIG, charts.folder).data_use == "synthetic"
    shard = next((charts.folder / "data").rglob("*.parquet"))
    all_rows(charts).drop(FIELDS).head(5).write_parquet(shard)
    assert plan_read(CONFIG, charts.folder).data_use == "phi"


def test_meds_itself_finds_the_charts_valid(charts: Charts) -> None:
    for path in (charts.folder / "data").rglob("*.parquet"):
        meds.DataSchema.validate(pq.read_table(path))
    metadata = charts.folder / "metadata"
    meds.CodeMetadataSchema.validate(pq.read_table(metadata / "codes.parquet"))
    meds.SubjectSplitSchema.validate(pq.read_table(metadata / "subject_splits.parquet"))
    meds.DatasetMetadataSchema.validate(json.loads((metadata / "dataset.json").read_text()))


# --- datasets made by others ------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["simple_static_sharded_by_split", "simple_static_sharded_by_split_with_tasks"]
)
def test_the_static_datasets_of_the_meds_helpers_are_read(
    tmp_path: Path, shared: Path, name: str
) -> None:
    folder = shared / "data/meds-testing-helpers/meds_testing_helpers/static_sample_data"
    if not folder.is_dir():
        pytest.skip("meds-testing-helpers is not among the shared data")
    original = []
    for place, text in yaml.safe_load((folder / f"{name}.yaml").read_text()).items():
        if not place.startswith("data/") and place != "metadata/subject_splits.parquet":
            continue
        table = pl.read_csv(io.StringIO(text.strip()), infer_schema=False)
        table = table.with_columns(
            pl.col(column).str.strip_chars().replace("", None) for column in table.columns
        ).rename(str.strip)  # fmt: skip
        casts = {"subject_id": pl.Int64, "numeric_value": pl.Float32}
        table = table.with_columns(
            pl.col(column).cast(casts[column]) for column in table.columns if column in casts
        )
        if "time" in table.columns:
            table = table.with_columns(pl.col("time").str.to_datetime("%m/%d/%Y, %H:%M:%S"))
            original.append(table)
        path = tmp_path / "in" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(path)
    charts = read(tmp_path / "in", tmp_path / "out")
    keys = ["subject_id", "time", "code"]
    whole = pl.concat(original)
    assert all_rows(charts).select(keys).sort(keys).equals(whole.select(keys).sort(keys))
    own = pl.read_parquet(tmp_path / "in/metadata/subject_splits.parquet")
    assert dict(charts.splits.iter_rows()) == dict(own.select("subject_id", "split").iter_rows())


def test_the_sample_of_aces_is_read(tmp_path: Path, shared: Path) -> None:
    root = shared / "data/meds-sample-aces/sample_data/meds_sample"
    if not root.is_dir():
        pytest.skip("meds-sample-aces is not among the shared data")
    charts = read(root, tmp_path / "out")
    assert charts.manifest.counts["measurements"] == 77_542
    assert charts.splits.height == 100
    assert dict(charts.splits["split"].value_counts().iter_rows()) == {
        path.name: pl.concat(pl.read_parquet(file) for file in path.glob("*.parquet"))["subject_id"].n_unique()  # noqa: E501
        for path in root.iterdir()
    }  # fmt: skip
    rows = all_rows(charts)
    inside = rows.filter(pl.col("table").is_in(["admissions", "hospital_discharges"]))
    assert inside["encounter_id"].null_count() == 0
    shutil.rmtree(tmp_path / "out")


def test_a_time_with_a_zone_of_its_own_in_each_file(tmp_path: Path) -> None:
    moment = datetime(2150, 1, 1, tzinfo=UTC)
    files = {
        name: pl.DataFrame({"subject_id": [subject], "code": ["X"], "time": [moment]}).with_columns(
            pl.col("time").dt.convert_time_zone(zone)
        )
        for subject, (name, zone) in enumerate([("a", "America/New_York"), ("b", "Asia/Kolkata")])
    }
    rows = all_rows(read(write(tmp_path / "in", **files), tmp_path / "out"))
    assert rows["time"].to_list() == [datetime(2150, 1, 1)] * 2
