"""The Disease Ontology's own reports: symptoms, organisms, places of a disease, and its codes."""

from __future__ import annotations

import polars as pl

from ehrlich.evidence.knowledge.open.harvest import Harvest, mention, plain, said_by
from ehrlich.evidence.knowledge.open.library import Library

# What an axiom says, our relation, and among what the other end is looked up.
AXIOMS = {
    "has symptom": ("has_symptom", "disease"),
    "has phenotype": ("has_phenotype", "disease"),
    "disease has feature": ("has_phenotype", "disease"),
    "disease has basis in": ("due_to", "disease"),
    "has material basis in": ("caused_by", "organism"),
    "has allergic trigger": ("caused_by", "drug"),
    "has disease driver": ("caused_by", "drug"),
    "disease has location": ("has_location", "anatomy"),
}
INHERITED = r"inheritance"


def axioms(library: Library) -> Harvest:
    """Typed edges by the label of the other end; modes of inheritance are no cause to show."""
    table = library.table("do_axioms")
    said = (
        table.select(head="ID", said=pl.col(table.columns[2]).str.split("|"))
        .explode("said", empty_as_null=True)
        .with_columns(
            axiom=pl.col("said").str.extract(r"^'([^']+)' some "),
            other=pl.col("said").str.extract(r"^'[^']+' some '?([^()]*?)'?$"),
        )
        .drop_nulls()
    )
    inherited = said.filter(pl.col("other").str.contains(INHERITED))
    known = said.filter(
        pl.col("axiom").is_in(list(AXIOMS)) & ~pl.col("other").str.contains(INHERITED)
    )
    edges = known.select(
        "head",
        relation=pl.col("axiom").replace_strict({name: to for name, (to, _) in AXIOMS.items()}),
        tail=_other_end(),
    )
    organisms = known.filter(
        (pl.col("axiom") == "has material basis in")
        & ~pl.col("other").str.contains("gene|mutation")
    ).select(id=pl.lit("ORGANISM:") + plain(pl.col("other")), name="other")
    return said_by(
        "do_axioms",
        {
            "mode of inheritance": inherited.height,
            "axiom not used": said.height - known.height - inherited.height,
        },
        edges=edges,
        # An organism that no vocabulary names is still the cause: it becomes a node.
        terms=organisms.unique("id", keep="first").with_columns(kind=pl.lit("organism")),
        names=organisms,
    )


def _other_end() -> pl.Expr:
    end = pl.lit(None, dtype=pl.String)
    for axiom, (_, kind) in AXIOMS.items():
        end = pl.when(pl.col("axiom") == axiom).then(mention(kind, pl.col("other"))).otherwise(end)
    return end


def terms(library: Library) -> Harvest:
    """Terms newer than the vocabulary of the wheel, placed by the label of the parent."""
    table = library.table("do_terms")
    parents = (
        table.select(head="id", parent=pl.col("subClassOf").str.split("|"))
        .explode("parent", empty_as_null=True)
        .drop_nulls()
        .with_columns(plain(pl.col("parent")))
    )
    labelled = table.select(tail="id", parent=plain(pl.col("label"))).unique("parent", keep="none")
    return said_by(
        "do_terms",
        terms=table.select("id", name="label", kind=pl.lit("disease")),
        names=table.select("id", name="label"),
        edges=parents.join(labelled, on="parent").select(
            "head", relation=pl.lit("isa"), tail="tail"
        ),
    )


def codes(library: Library) -> Harvest:
    """ICD codes beside a term: loose, to be checked by their words."""
    table = library.table("do_codes")
    code = pl.col("xref").str.replace("^ICD9CM_2006:", "ICD9CM:")
    loose = table.select("id", other=code, why=pl.lit("loose")).filter(
        pl.col("other").str.contains(r"^ICD(10|9)CM:[0-9A-Z.]+$")
    )
    return said_by("do_codes", same=loose)
