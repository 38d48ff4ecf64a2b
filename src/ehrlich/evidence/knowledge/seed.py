"""Our own tables of what open sources lack: laboratory findings, procedures, other names.

Written from general medical knowledge; no clinician has reviewed them yet.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.charts.code_maps import ccs_procedure_groups
from ehrlich.evidence.knowledge.graph import KnowledgeGraph, graph_of

SOURCE, LICENCE = "seed", "Apache-2.0"
Row = tuple[Any, ...]
# Relation of the table → relation of the graph, and whether the concept comes first in it.
RELATIONS = {
    "finding_of": ("finding_of", False),
    "adverse_effect_of": ("adverse_effect_of", False),
    "treated_with": ("treats", True),
    "monitored_with": ("monitored_with", True),
}
DRUG_RELATIONS = ("adverse_effect_of", "treated_with", "monitored_with")
PROCEDURE_SYSTEMS = {
    "ccs": ("CCS", "procedure "),
    "icd9_prefix": ("ICD9PCS", ""),
    "icd10_prefix": ("ICD10PCS", ""),
}


@cache
def seed_table(name: str) -> pl.DataFrame:
    """A table that comes with the package, every column text; empty fields are empty text."""
    text = files("ehrlich.evidence.knowledge").joinpath("seed", f"{name}.tsv").read_text("utf-8")
    head, *lines = text.splitlines()
    rows = [line.split("\t") for line in lines]
    columns = head.split("\t")
    wrong = [number for number, row in enumerate(rows, start=2) if len(row) != len(columns)]
    if wrong:
        raise DataError(
            "a line has another number of fields than the header",
            where=f"{name}.tsv, line {wrong[0]}",
            expected=str(len(columns)),
        )
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String()), orient="row")


@cache
def alternatives(table: str) -> pl.DataFrame:
    """Columns name, also: every name of a line of the table stands for every other of it."""
    lines = seed_table(table).with_row_index("line")
    many = lines.with_columns(pl.concat_str("name", pl.lit("|"), "also").str.split("|"))
    one = many.select("line", "name").explode("name").unique()
    pairs = one.join(one.rename({"name": "also"}), on="line")
    return (
        pairs.filter(pl.col("name") != pl.col("also"))
        .select("name", "also")
        .unique()
        .sort("name", "also")
    )


def seed_graph() -> KnowledgeGraph:
    """The tables as a graph, mostly of names: `join_graphs` with another ties it to codes."""
    edges = [*_lab_edges(), *_procedure_edges()]
    nodes = {node: _node(node) for edge in edges for node in (edge[0], edge[2])}
    also = {
        str(name): str(others).split("|")
        for table in ("condition_names", "lab_names")
        for name, others in seed_table(table).iter_rows()
    } | _group_names()
    names = [(node, name, SOURCE) for node in nodes for name in _names_of(node, also)]
    return graph_of(
        {"nodes": list(nodes.values()), "names": names, "edges": edges, "xrefs": _xrefs()}
    )


def _id(kind: str, name: str) -> str:
    return f"seed:{kind}:{name}"


def _node(node: str) -> Row:
    _, kind, name = node.split(":", 2)
    return node, name, kind, SOURCE, LICENCE, False


def _lab_edges() -> list[Row]:
    edges = []
    for lab, direction, relation, concept in seed_table("lab_links").iter_rows():
        test = _id("test", lab)
        finding = _id("finding", f"{lab} {direction}") if direction else test
        other = _id("drug" if relation in DRUG_RELATIONS else "disease", concept)
        told, concept_first = RELATIONS[relation]
        head, tail = (other, finding) if concept_first else (finding, other)
        edges.append((head, told, tail, SOURCE, LICENCE))
        if direction:
            edges.append((test, "measures", finding, SOURCE, LICENCE))
    return edges


def _procedure_edges() -> list[Row]:
    return [
        (_id("procedure", row["procedure"]), "procedure_for", _id("disease", condition), SOURCE,
         LICENCE)
        for row in seed_table("procedure_links").iter_rows(named=True)
        for condition in row["conditions"].split("|")
    ]  # fmt: skip


def _group_names() -> dict[str, list[str]]:
    """Procedure → labels of its CCS groups, as the `codes` extra spells them; none without it."""
    groups = ccs_procedure_groups()
    label = {} if groups is None else dict(groups.iter_rows())
    rows = seed_table("procedure_links").select("procedure", "ccs").iter_rows()
    named = {name: [label[n].lower() for n in ccs.split(",") if n in label] for name, ccs in rows}
    return {name: labels for name, labels in named.items() if labels}


def _names_of(node: str, also: dict[str, list[str]]) -> list[str]:
    """The node's own name first, then what else the tables call it."""
    _, kind, name = node.split(":", 2)
    bare, _, direction = name.rpartition(" ") if kind == "finding" else (name, "", "")
    suffix = f" {direction}" if direction else ""
    return [name, *(f"{other}{suffix}" for other in also.get(bare, ()))]


def _xrefs() -> list[Row]:
    """Codes of procedures: a prefix stands for every code below it. CCS as `procedure 58`."""
    return [
        (_id("procedure", row["procedure"]), system, f"{before}{code}")
        for row in seed_table("procedure_links").iter_rows(named=True)
        for column, (system, before) in PROCEDURE_SYSTEMS.items()
        for code in row[column].split(",")
        if code
    ]  # fmt: skip
