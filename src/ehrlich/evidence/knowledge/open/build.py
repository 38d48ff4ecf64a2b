"""Wheels and small files in, one knowledge graph out: read, cluster, look up, tie codes, check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.evidence.knowledge.graph import KnowledgeGraph, checked, join_graphs
from ehrlich.evidence.knowledge.open import (
    codes,
    crosswalks,
    disease_ontology,
    drug_words,
    drugs,
    groups,
    hpo,
    labs,
    mechanisms,
    ontologies,
    wikidata,
)
from ehrlich.evidence.knowledge.open.clusters import clusters
from ehrlich.evidence.knowledge.open.harvest import MENTION, Harvest, plain, said_by, together
from ehrlich.evidence.knowledge.open.library import (
    Library,
    OpenConfig,
    source_list,
)
from ehrlich.evidence.knowledge.open.mentions import look_up, spellings
from ehrlich.evidence.knowledge.open.words import words

# In this order: of a term given twice, the first source names it.
READERS: Mapping[str, Callable[[Library], Harvest]] = {
    "mondo": ontologies.mondo,
    "doid": ontologies.doid,
    "do_terms": disease_ontology.terms,
    "hpo": hpo.hpo,
    "mesh": ontologies.mesh,
    "drugbank_names": ontologies.drugbank_names,
    "chebi": ontologies.chebi,
    "mondo_mappings": ontologies.mondo_mappings,
    "icd10cm": codes.icd10cm,
    "icd10cm_codes": codes.icd10cm_codes,
    "icd9cm": codes.icd9cm,
    "icd_procedures": codes.procedures,
    "ccs": groups.ccs,
    "ccs_icd9": groups.ccs_icd9,
    "ccsr": groups.ccsr,
    "gems": groups.gems,
    "do_axioms": disease_ontology.axioms,
    "do_codes": disease_ontology.codes,
    "hpo_annotations": hpo.phenotypes,
    "loinc2hpo": labs.loinc2hpo,
    "mimic_labs": labs.tests,
    "mimic_inputs": labs.infusions,
    "drugcentral_classes": drugs.drugcentral_classes,
    "drugcentral_indications": drugs.drugcentral_indications,
    "pharmacotherapydb": drugs.pharmacotherapydb,
    "fda_ndc": drugs.products,
    "drug_words": drug_words.spellings,
    "drugmechdb": mechanisms.drugmechdb,
    "wikidata_diseases": wikidata.diseases,
    "wikidata_medicines": wikidata.medicines,
}
OWN_IDS = ("CHEBI", "DOID", "DRUGBANK", "GO", "HP", "MESH", "MONDO", "NCBITAXON", "OMIM", "ORPHA")
# Vocabularies that are read whole: a code of theirs that is no id is out of use.
WHOLE = ("MONDO", "DOID", "HP", "ICD10CM", "ICD9CM")
KIND_RANK = ("drug", "disease", "finding", "organism", "procedure", "drug_class")


@dataclass(frozen=True)
class Built:
    """A graph, what it was read from, and which sources were not read and why."""

    graph: KnowledgeGraph
    inputs: Mapping[str, Any]
    left_out: Mapping[str, str]


def told_by(built: Built, config: OpenConfig) -> dict[str, Any]:
    """What a manifest says of it: files, sources with licence and citation, what was left out."""
    listed = config.listed or source_list()
    used = [source for source in listed.sources if source.name not in built.left_out]
    return {
        "files": dict(built.inputs),
        "sources": {
            source.name: {"licence": source.licence, "citation": source.citation} for source in used
        },
        "left_out": dict(built.left_out),
        **counts_of(built.graph),
    }


def counts_of(graph: KnowledgeGraph) -> dict[str, dict[str, int]]:
    """Edges by relation and by source, nodes by kind, as the manifest shows them."""

    def counted(frame: pl.DataFrame, column: str) -> dict[str, int]:
        return dict(frame.group_by(column).len().sort("len", descending=True).iter_rows())

    return {
        "nodes_by_kind": counted(graph.nodes, "kind"),
        "edges_by_relation": counted(graph.edges, "relation"),
        "edges_by_source": counted(graph.edges, "source"),
        "edges_by_licence": counted(graph.edges, "licence"),
    }


def build(config: OpenConfig, *, parts: Sequence[KnowledgeGraph] = ()) -> Built:
    """The open graph of all sources that are there and allowed.

    `parts` are further graphs, such as tables written by hand; `join_graphs` says how they join.
    """
    library = Library(config, config.listed or source_list())
    left_out, harvests = _read(library)
    said = together(harvests)
    if said.terms.is_empty():
        raise DataError(
            "no source of the open graph could be read", got="; ".join(left_out.values())
        )
    graph = graph_of(said, library)
    for part in parts:
        graph = join_graphs(graph, part)
    return Built(graph, library.inputs, left_out)


def _read(library: Library) -> tuple[dict[str, str], list[Harvest]]:
    left_out: dict[str, str] = {}
    harvests = []
    for name, read in READERS.items():
        obstacle = library.obstacle(name)
        if obstacle is None:
            harvests.append(_in_layout(library, name, read))
            continue
        if library.source(name).needed:
            raise DataError(f"the open graph needs the source {name}", got=obstacle)
        left_out[name] = obstacle
    return left_out, harvests or [said_by("none")]


def _in_layout(library: Library, name: str, read: Callable[[Library], Harvest]) -> Harvest:
    try:
        return read(library)
    except (pl.exceptions.PolarsError, ValueError, KeyError, OSError, EOFError, BadZipFile) as exc:
        source = library.source(name)
        raise DataError(
            f"the source {name} is not in the layout that is read",
            where=source.file or str(source.package),
            got=type(exc).__name__,
            do="Use the version that the list of sources names, or leave the file out.",
        ) from exc


def graph_of(said: Harvest, library: Library) -> KnowledgeGraph:
    """Nodes of clusters; edges, names and xrefs by node; codes tied to diseases."""
    node_of = clusters(said)
    nodes = _nodes(said, node_of)
    own = said.names.filter(~pl.col("id").str.starts_with(MENTION))
    own = _by_node(pl.concat([own, labs.result_names(said)]), node_of)
    names = pl.concat(
        [nodes.select("node", "name", "source"), own.select("node", "name", "source")]
    ).unique()
    names = pl.concat([names, spellings(said, nodes=nodes, names=names)])
    resolved = look_up(said, nodes=nodes, names=names)
    dropped = Counter(said.dropped) + Counter(resolved.dropped)
    edges = _by_node(_by_node(resolved.edges, node_of, "head"), node_of, "tail")
    known = compared(nodes, names)
    loose = _by_node(_by_node(_loose(said), node_of, "code"), node_of, "disease")
    mapped, unlike = crosswalks.mapped(loose, nodes)
    dropped.update(unlike)
    edges = pl.concat(
        [
            edges,
            mapped,
            crosswalks.unspecified(nodes, known),
            crosswalks.title_mentions(nodes, known),
        ]
    )
    graph = KnowledgeGraph(
        nodes=_licensed(nodes, library),
        names=names.sort("node", "name", "source"),
        edges=_licensed(edges, library),
        xrefs=_xrefs(resolved.xrefs, node_of),
        dropped=dropped,
    )
    return checked(graph)


def _xrefs(said: pl.DataFrame, node_of: pl.DataFrame) -> pl.DataFrame:
    """node, system, code: as sources say, and every id of a vocabulary itself.

    A code that is a node of its own is no cross-reference of another.
    """
    given = _by_node(said, node_of).select("node", "system", "code")
    own = node_of.select(owner="node", of="id")
    coded = given.with_columns(of=pl.concat_str("system", pl.lit(":"), "code"))
    unowned = pl.col("owner").is_null() & ~pl.col("system").is_in(WHOLE)
    held = coded.join(own, on="of", how="left").filter(
        unowned | (pl.col("owner") == pl.col("node"))
    )
    system = pl.col("id").str.extract("^([^:]+):")
    ids = node_of.filter(system.is_in(OWN_IDS)).select(
        "node", system=system, code=pl.col("id").str.extract("^[^:]+:(.+)$")
    )
    return pl.concat([held.select("node", "system", "code"), ids])


def _by_node(frame: pl.DataFrame, node_of: pl.DataFrame, column: str = "id") -> pl.DataFrame:
    """Ids in a column become their nodes (column `node` for `id`); unknown ids stay, for the
    check to count.
    """
    to = "node" if column == "id" else column
    joined = frame.join(
        node_of.select(pl.col("id").alias(column), of_id="node"), on=column, how="left"
    )
    return joined.with_columns(pl.coalesce("of_id", column).alias(to)).drop("of_id")


def _nodes(said: Harvest, node_of: pl.DataFrame) -> pl.DataFrame:
    """node, name, kind, source, generic: as the first id of the cluster has it.

    The kind is the most telling of its ids' kinds: a chemical that is sold is a drug.
    """
    broad = said.broad.join(node_of, on="id").select("node").unique()
    rank = pl.col("kind").replace_strict(
        {kind: n for n, kind in enumerate(KIND_RANK)}, default=len(KIND_RANK), return_dtype=pl.Int32
    )
    told = said.terms.join(node_of, on="id").with_columns(rank=rank)
    kinds = told.sort("rank", "id").unique("node", keep="first", maintain_order=True)
    return (
        said.terms.join(kinds.select("node", told="kind"), left_on="id", right_on="node")
        .with_columns(generic=pl.col("id").is_in(broad["node"].implode())
        | plain(pl.col("name")).is_in(words().too_broad))
        .select(node="id", name="name", kind="told", source="source", generic="generic")
    )  # fmt: skip


def compared(nodes: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """node, word: names of diseases and findings that are no generic nodes; a preferred name
    that is another's synonym stands for the node that prefers it.
    """
    open_to = nodes.filter(pl.col("kind").is_in(["disease", "finding"]) & ~pl.col("generic"))
    first = open_to.select("node", word=plain(pl.col("name"))).unique("word", keep="none")
    other = (
        names.join(open_to.select("node"), on="node")
        .select("node", word=plain(pl.col("name")))
        .unique()
        .filter(pl.len().over("word") == 1)
    )
    return pl.concat([first, other.join(first, on="word", how="anti")])


def _loose(said: Harvest) -> pl.DataFrame:
    pairs = said.same.filter(
        pl.col("why").is_in(["loose", "exact"]) & pl.col("other").str.starts_with("ICD")
    )
    return pairs.select(disease="id", code="other")


def _licensed(frame: pl.DataFrame, library: Library) -> pl.DataFrame:
    """With the licence of each row's source; rows of the freest licence first.

    Of an edge that several sources say, the check keeps the first: the one that most may use.
    """
    licences = {source.name: source.licence for source in library.listed.sources}
    order = {licence.name: n for n, licence in enumerate(library.listed.licences)}
    told = frame.with_columns(licence=pl.col("source").replace_strict(licences))
    rank = pl.col("licence").replace_strict(order, return_dtype=pl.Int32)
    return told.sort(rank, *frame.columns)
