"""What evidence is kept in a hospital whose textbook ties nothing to any condition.

`python -m benchmarks.evidence null`: see `null_hospital`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from benchmarks.evidence_lift import all_units
from benchmarks.evidence_recovery import told_and_shown

from ehrlich.charts.hospital import HospitalConfig
from ehrlich.charts.hospital import run as write_hospital
from ehrlich.charts.hospital.textbook import TEXTBOOK
from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.run import CasesConfig
from ehrlich.cohorts.run import run as write_cases
from ehrlich.evidence.cooccurrence import counts_of, fit
from ehrlich.evidence.policy import load_policy

TASK = "diagnoses_icd"
# What ties a condition to signs, to what is done, and to other conditions.
LINKS = (
    "findings", "tests", "treatments", "procedures", "discharge_drugs", "avoid_drugs", "icu",
    "comorbid", "risk_factors", "complications", "replaces", "services",
)  # fmt: skip
# Whom it strikes and how hard: ties by age, by sex, and by who comes to intensive care.
COURSE = ("age", "female", "severity", "drift", "elective", "admit", "readmit_30d")
LINKED, CUT = "with links", "links cut"
HOSPITALS: dict[str, tuple[str, ...]] = {LINKED: (), CUT: LINKS, "course too": LINKS + COURSE}
SIGNS = r"^(lab|vital|charted|drug)//"


def null_hospital(patients: int, seed: int, *, against: tuple[Path, Path] | None = None) -> int:
    """Print what each policy keeps of diagnosis <- lab, vital, charted, drug; the exit code.

    In a hospital with its links (`against`: charts and cases of one as large), in one whose
    textbook has none (`LINKS`), and in one where moreover every condition has the same course
    (`COURSE`). Exit code 1 where fdr keeps more than a twentieth of what it keeps with the links.
    """
    kept: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, gone in HOSPITALS.items():
            if name == LINKED and against:
                made = against
            else:
                made = cases_without(gone, Path(folder) / name, patients=patients, seed=seed)
            kept[name] = kept_signs(*made)
            for policy, count in kept[name].items():
                share = count / max(kept[LINKED][policy], 1)
                print(f"{name:<12} {policy:<6} {count:7,} kept  {share:7.4f}", flush=True)
    return int(kept[CUT]["fdr"] > kept[LINKED]["fdr"] / 20)


def cases_without(
    gone: tuple[str, ...], folder: Path, *, patients: int, seed: int
) -> tuple[Path, Path]:
    """Charts and cases of a hospital whose textbook lacks these fields of every condition."""
    textbook = cut_textbook(folder / "textbook", gone=gone)
    config = HospitalConfig(patients, seed=seed, quiet=True, textbook=textbook)
    write_hospital(config, folder / "hospital")
    read_source(ReadConfig(workers=1, quiet=True), folder / "hospital", folder / "charts")
    wanted = CasesConfig(tasks=(TASK,), workers=1, quiet=True)
    write_cases(wanted, folder / "charts", folder / "cases")
    return folder / "charts", folder / "cases"


def cut_textbook(folder: Path, *, gone: tuple[str, ...]) -> Path:
    """A copy of the textbook without these fields; what no condition may lack is that of the first.

    The first condition of its kind: acute ones come, chronic ones are brought along.
    """
    shutil.copytree(TEXTBOOK, folder)
    first: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / "conditions").glob("*.yaml")):
        conditions = yaml.safe_load(path.read_text(encoding="utf-8"))
        for condition in conditions:
            example = first.setdefault(condition["kind"], dict(condition))
            for name in gone:
                condition.pop(name, None)
                if name in COURSE and name in example:
                    condition[name] = example[name]
        path.write_text(yaml.safe_dump(conditions, allow_unicode=True), encoding="utf-8")
    return folder


def kept_signs(charts: Path, cases: Path) -> dict[str, int]:
    """Policy -> how many pairs of a diagnosis and a sign or a drug it keeps."""
    parts = told_and_shown(Charts(charts), cases)
    return {name: signs_of(parts, name).height for name in ("fdr", "paper")}


def signs_of(parts: tuple[pl.DataFrame, ...], name: str) -> pl.DataFrame:
    """The kept pairs of a diagnosis and a sign or a drug, by a policy."""
    policy = load_policy(name)
    lift = fit(counts_of(all_units(parts[0], parts[1], parts[2], policy)), policy)
    return lift.filter(pl.col("kept") & pl.col("history").str.contains(SIGNS))
