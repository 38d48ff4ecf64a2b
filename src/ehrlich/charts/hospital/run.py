"""`ehrlich hospital`: blocks in parallel, parts kept for resume, manifest last."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError
from ehrlich.base.parallel import map_jobs
from ehrlich.base.progress import progress_bar
from ehrlich.base.store import (
    Manifest,
    edge_fingerprint,
    fingerprint,
    open_output,
    read_manifest,
    versions_of,
    write_aside,
    write_manifest,
)
from ehrlich.charts.hospital.block import TABLES, TRUTH, BlockJob, write_block
from ehrlich.charts.hospital.layout import SHARED
from ehrlich.charts.hospital.maps import FOLDER as MAPS
from ehrlich.charts.hospital.maps import drug_classes
from ehrlich.charts.hospital.scene import BLOCK
from ehrlich.charts.hospital.shared import shared_tables
from ehrlich.charts.hospital.textbook import TEXTBOOK, load_textbook
from ehrlich.charts.hospital.write import join_parquet, member, write_table

STEP = "hospital"
PARTS = ".parts"
README = """# A synthetic hospital

No row of these files describes a person. Everything was drawn at random from a textbook of
conditions and a hidden Markov course; the layout is that of MIMIC-IV 3.1 (hosp, icu), MIMIC-IV-ED
2.2 and MIMIC-IV-Note 2.2. For research and teaching on software only: no figure in here may guide
the care of anybody.

`maps/` gives the drugs' classes in plain words (they are not ATC); `ehrlich read` finds them there.

`truth/` holds what no chart shows: the conditions behind each encounter, and the exact risk of
each outcome at each hour. It is there to measure models against and is read by no reader.
"""


@dataclass(frozen=True)
class HospitalConfig:
    """What to write. `limit` caps the number of patients; `textbook` is another folder of YAML."""

    patients: int
    seed: int = 0
    defects: bool = False
    workers: int = 1
    resume: bool = False
    fresh: bool = False
    quiet: bool = False
    limit: int | None = None
    textbook: Path | None = None

    @property
    def size(self) -> int:
        """Patients that will be written."""
        return min(self.patients, self.limit) if self.limit is not None else self.patients


def run(config: HospitalConfig, out: Path) -> Manifest:
    """Write the hospital under `out`; returns what its manifest says."""
    plan(config)
    book = load_textbook(config.textbook)
    manifest = _manifest(config)
    if open_output(out, manifest.config_fingerprint, resume=config.resume, fresh=config.fresh):
        return read_manifest(out)
    jobs = _jobs(config, out)
    counts = _write_blocks(jobs, config)
    for name, frame in shared_tables(book).items():
        counts["rows"][name] = frame.height
        part = out / PARTS / f"{name.replace('/', '.')}.csv.gz"
        with write_aside(part) as aside:
            aside.write_bytes(member(frame))
        write_table(out / f"{name}.csv.gz", name, parts=[part])
    for name in TABLES:
        write_table(out / f"{name}.csv.gz", name, parts=(job.path(name) for job in jobs))
    for name in TRUTH:
        join_parquet(out / f"{name}.parquet", [job.path(name) for job in jobs])
    for name, frame in drug_classes(book).items():
        with write_aside(out / MAPS / f"{name}.csv") as aside:
            frame.write_csv(aside)
    with write_aside(out / "README.md") as aside:
        aside.write_text(README, encoding="utf-8")
    shutil.rmtree(out / PARTS)
    made = {kind: dict(sorted(numbers.items())) for kind, numbers in counts.items()}
    finished = replace(manifest, counts={"patients": config.size, **made, "files": _files(out)})
    write_manifest(out, finished)
    return finished


def _files(out: Path) -> dict[str, Any]:
    """Every table's fingerprint, by which a reader knows that all of them are ours."""
    paths = sorted(out.glob("*/*.csv.gz"))
    return {path.relative_to(out).as_posix(): edge_fingerprint(path) for path in paths}


def plan(config: HospitalConfig) -> Manifest:
    """What `run` would write: its manifest with counts of patients, blocks and files only."""
    if config.size < 1:
        raise ConfigError(
            "a hospital needs patients",
            where="--patients",
            got=str(config.size),
            expected="1 or more",
        )
    load_textbook(config.textbook)
    counts = {
        "patients": config.size,
        "blocks": len(_jobs(config, Path())),
        "files": len((*TABLES, *SHARED, *TRUTH)) + 2,
    }
    return replace(_manifest(config), counts=counts)


def _manifest(config: HospitalConfig) -> Manifest:
    return Manifest(
        STEP,
        DataUse.SYNTHETIC,
        settings(config),
        seed=config.seed,
        versions=versions_of(("numpy", "polars")),
    )


def settings(config: HospitalConfig) -> dict[str, Any]:
    """What changes the result: size, seed (kept apart), defects, and the textbook's own text."""
    root = config.textbook or TEXTBOOK
    texts = {
        str(p.relative_to(root)): p.read_text(encoding="utf-8")
        for p in sorted(root.rglob("*.yaml"))
    }
    return {"patients": config.size, "defects": config.defects, "textbook": fingerprint(texts)}


def _jobs(config: HospitalConfig, out: Path) -> list[BlockJob]:
    return [
        BlockJob(
            number=number,
            subjects=min(BLOCK, config.size - number * BLOCK),
            seed=config.seed,
            defects=config.defects,
            parts=out / PARTS,
            textbook=config.textbook,
        )
        for number in range((config.size + BLOCK - 1) // BLOCK)
    ]


def _write_blocks(jobs: list[BlockJob], config: HospitalConfig) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {"rows": Counter(), "defects": Counter()}
    with progress_bar(config.size, "patients", quiet=config.quiet) as bar:
        for index, made in map_jobs(write_block, jobs, workers=config.workers):
            for kind, numbers in made.items():
                counts[kind].update(numbers)
            bar.advance(jobs[index].subjects)
    if not config.defects:
        del counts["defects"]
    return counts
