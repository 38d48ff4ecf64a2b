"""One case's thinking graph out of an evidence folder: as text, or as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.base.store import Manifest, read_manifest
from ehrlich.evidence.drawing import as_text, draw

STEP = "evidence"
CONDITIONED = "Its targets are the true answers: for training only, never for a prompt."
FREE = "Its targets are candidates: no answer was looked at."


class CaseGraph(NamedTuple):
    """The edges of one case, in order; where they stand; names of their concepts."""

    edges: pl.DataFrame
    task: str
    shard: str
    names: dict[str, str]


def show_text(folder: Path, case_id: str) -> str:
    """What the case is, and its graph as a tree.

    Raises DataError for a case that is not known or whose graph has no edge.
    """
    graph = graph_of_case(folder, case_id)
    split = graph.shard.partition("-")[0]
    time = _prediction_time(Path(str(_manifest(folder).inputs["cases"])), graph, case_id)
    about = f"Task {graph.task}, split {split}, predicted at {time}."
    free = CONDITIONED if graph.edges["conditioned"].any() else FREE
    return "\n".join([about, free, as_text(graph.edges, names=graph.names)])


def draw_case(folder: Path, case_id: str, *, path: Path) -> None:
    """Write the case's graph as a picture, SVG or PNG by the ending of `path`.

    Raises DataError as `show_text`, ConfigError for another ending.
    """
    graph = graph_of_case(folder, case_id)
    draw(graph.edges, path, names=graph.names)


def graph_of_case(folder: Path, case_id: str) -> CaseGraph:
    """The graph of one case. Raises DataError for one that is not known or has no edge."""
    manifest = _manifest(folder)
    for path in sorted((folder / "graphs").glob("*.parquet")):
        # A shard without a drawn case has no columns.
        if "case_id" not in pl.read_parquet_schema(path):
            continue
        found = pl.scan_parquet(path).filter(pl.col("case_id") == case_id).collect()
        if found.height:
            edges = found.sort("target", "rank")
            return CaseGraph(edges, edges["task"][0], path.stem, _names(folder, edges))
    raise _absent(folder, manifest, case_id)


def _manifest(folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    if manifest.step != STEP:
        raise DataError("holds no evidence", where=str(folder), got=manifest.step)
    return manifest


def _names(folder: Path, edges: pl.DataFrame) -> dict[str, str]:
    asked = pl.concat([edges["target"], edges["history"]]).unique()
    names = pl.scan_parquet(folder / "concepts.parquet").select("concept", "name")
    held = names.filter(pl.col("concept").is_in(asked.implode())).collect()
    return dict(held.iter_rows())


def _prediction_time(cases: Path, graph: CaseGraph, case_id: str) -> str:
    path = cases / graph.task / f"{graph.shard}.parquet"
    if not path.is_file():
        return f"a time that the cases know, which are no longer at {cases}"
    found = pl.scan_parquet(path).filter(pl.col("case_id") == case_id)
    times = found.select("prediction_time").collect().to_series()
    return f"{times[0]:%Y-%m-%d %H:%M:%S}" if times.len() else "an unknown time"


def _absent(folder: Path, manifest: Manifest, case_id: str) -> DataError:
    """Why there is no graph of this case."""
    cases = Path(str(manifest.inputs["cases"]))
    paths = sorted(path for path in cases.glob("*/*-*.parquet") if path.parent.name != "samples")
    for path in paths:
        if pl.scan_parquet(path).filter(pl.col("case_id") == case_id).collect().height:
            return DataError(
                "the graph of this case has no edge, or the case is in no sample",
                where=str(folder),
                got=case_id,
                do="Choose a case of the training sample (ehr_ins) or the benchmark (ehr_bench).",
            )
    return DataError(
        "no such case",
        where=str(folder),
        got=case_id,
        expected="a case_id of the cases that the evidence was made from",
    )
