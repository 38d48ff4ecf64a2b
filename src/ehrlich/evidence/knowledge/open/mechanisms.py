"""Mechanisms of drugs (DrugMechDB): chains of typed links from a drug to what it treats."""

from __future__ import annotations

import json

import polars as pl

from ehrlich.evidence.knowledge.open.harvest import Harvest, said_by
from ehrlich.evidence.knowledge.open.library import Library

KINDS = {
    "BiologicalProcess": "process", "MolecularActivity": "process", "Pathway": "pathway",
    "Protein": "protein", "GeneFamily": "protein", "MacromolecularComplex": "protein",
    "Disease": "disease", "PhenotypicFeature": "finding", "Drug": "drug",
    "ChemicalSubstance": "chemical", "OrganismTaxon": "organism", "Cell": "anatomy",
    "CellularComponent": "anatomy", "GrossAnatomicalStructure": "anatomy",
}  # fmt: skip
PREFIXES = {"DB": "DRUGBANK", "taxonomy": "NCBITAXON", "UniProt": "UNIPROT"}
FOLDED = {
    "increases": (
        "positively regulates", "increases activity of", "increases abundance of", "produces",
        "increases transport of", "increases stability of", "increases expression of",
        "increases response to", "has output",
    ),
    "decreases": (
        "negatively regulates", "decreases activity of", "decreases abundance of", "disrupts",
        "increases degradation of", "decreases synthesis of", "decreases uptake of",
        "decreases expression of", "decreases response to",
    ),
    "regulates": (
        "regulates", "molecularly interacts with", "directly interacts with", "interacts with",
        "physically interacts with",
    ),
    "correlated_with": (
        "positively correlated with", "negatively correlated with", "correlated with",
    ),
    "causes": ("causes", "contributes to", "exacerbates"),
    "caused_by": ("caused by",),
    "predisposes_to": ("predisposes", "affects risk for"),
    "has_phenotype": ("has phenotype",),
    "has_location": ("occurs in", "located in"),
    "participates_in": ("participates in", "capable of", "actively involved in"),
    "part_of": ("part of",),
    "treats": ("treats", "ameliorates"),
    "prevents": ("prevents",),
    "contraindicated_for": ("contraindicated for",),
    "isa": ("subclass of",),
}  # fmt: skip
TURNED = {
    "manifestation of": "has_phenotype",
    "phenotype of": "has_phenotype",
    "location of": "has_location",
    "produced by": "increases",
    "disrupted by": "decreases",
    "affected by": "regulates",
    "has part": "part_of",
    "has participant": "participates_in",
    "superclass of": "isa",
}


def drugmechdb(library: Library) -> Harvest:
    """Nodes by their own ids, links folded to our relations, and that the drug treats."""
    raw = library.read("drugmechdb").splitlines()
    paths = [json.loads(line) for line in raw]
    nodes = pl.DataFrame(
        [
            (node["id"], node.get("name"), node.get("label"))
            for path in paths
            for node in path["nodes"]
        ],
        schema=dict.fromkeys(("id", "name", "label"), pl.String),
        orient="row",
    )
    links = pl.DataFrame(
        [tuple(link) for path in paths for link in path["links"]],
        schema=dict.fromkeys(("head", "said", "tail"), pl.String),
        orient="row",
    )
    ends = pl.DataFrame(
        [(_drug(path["graph"]), path["graph"].get("disease_mesh")) for path in paths],
        schema=dict.fromkeys(("head", "tail"), pl.String),
        orient="row",
    )
    named = nodes.select(
        id=curie(pl.col("id")),
        name="name",
        kind=pl.col("label").replace_strict(KINDS, default=None, return_dtype=pl.String),
    ).unique("id", keep="first", maintain_order=True)
    treats = ends.select(
        curie(pl.col("head")), relation=pl.lit("treats"), tail=curie(pl.col("tail"))
    )
    folded = fold(links)
    return said_by(
        "drugmechdb",
        {"link that folds to no relation": links.height - folded.height},
        terms=named,
        names=named.select("id", "name"),
        edges=pl.concat([folded, treats]).drop_nulls(),
    )


def _drug(graph: dict[str, str]) -> str | None:
    return graph.get("drug_mesh") or graph.get("drugbank")


def curie(ids: pl.Expr) -> pl.Expr:
    """Ids with the prefixes that our other sources use."""
    # Some name the same prefix twice.
    once = ids.str.replace("^[A-Za-z]+:([A-Za-z]+:)", "${1}")
    for theirs, ours in PREFIXES.items():
        once = once.str.replace(f"^{theirs}:", f"{ours}:")
    return once


def fold(links: pl.DataFrame) -> pl.DataFrame:
    """head, relation, tail of links (head, said, tail); links of no relation are left out."""
    straight = {said: relation for relation, said_all in FOLDED.items() for said in said_all}
    forward = pl.col("said").replace_strict(straight, default=None, return_dtype=pl.String)
    backward = pl.col("said").replace_strict(TURNED, default=None, return_dtype=pl.String)
    turned = backward.is_not_null()
    return links.select(
        head=curie(pl.when(turned).then("tail").otherwise("head")),
        relation=pl.coalesce(forward, backward),
        tail=curie(pl.when(turned).then("head").otherwise("tail")),
    ).drop_nulls()
