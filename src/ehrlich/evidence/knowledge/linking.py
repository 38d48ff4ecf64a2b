"""Concepts of a timeline → nodes of a knowledge graph: by code, by code of a parent, by name.

`vocabulary frame + KnowledgeGraph -> concept, node, via`; after the builders, before paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from ehrlich.evidence.drug_names import ingredients
from ehrlich.evidence.knowledge.graph import FAMILIES, KnowledgeGraph, with_family
from ehrlich.evidence.knowledge.seed import alternatives

# How a concept came to its node, the most exact first.
VIAS = ("exact", "name", "mapped", "parent")
DIRECTIONS = ("high", "low", "abnormal")
# What a source calls abnormal, others call positive.
WORDS_OF = {"high": ("high",), "low": ("low",), "abnormal": ("abnormal", "positive")}
# Relations that say where a node stands, and nothing about medicine.
PLACING = ("isa", "mapped_to", "includes", "title_mentions", "narrower_than", "synonym_of")
ANCHORING = ("mapped_to", "includes", "title_mentions")
ICD = ("ICD10CM", "ICD9CM", "ICD10PCS", "ICD9PCS")
# A code is cut from the right so often, and never shorter than this.
CUTS = {"ICD10CM": 3, "ICD9CM": 3, "ICD10PCS": 4, "ICD9PCS": 2}
SHORTEST = {"ICD10CM": 3, "ICD9CM": 3, "ICD10PCS": 3, "ICD9PCS": 2}
CODE_SYSTEMS = {
    "diagnosis//icd10": "ICD10CM",
    "diagnosis//icd9": "ICD9CM",
    "procedure//icd10": "ICD10PCS",
    "procedure//icd9": "ICD9PCS",
}
MEASURED = ("lab", "vital", "charted", "measure", "output", "test")
FAMILY_OF: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(MEASURED, ("test",)),
    "drug": ("drug",),
    "nutrient": ("drug",),
    "drug_class": ("class",),
    "diagnosis": ("problem",),
    "ccs": ("problem",),
    "finding": ("problem",),
    "organism": ("organism",),
    **dict.fromkeys(("procedure", "ccs_procedure", "bedside", "exam"), ("procedure",)),
}
# A code or a name that stands for more nodes than this names none of them.
MOST_NODES = 8
ORGANISM_REMARKS = (
    r"positive for |presumptive |presumptively|probable |\b(antigen|complex|group|species)\b"
    r"|\bspp?\b\.?|\bcoag(ulase)? ?[+-]( positive)?|\bserotype .*|[,(].*$|\+"
)


def link(vocabulary: pl.DataFrame, graph: KnowledgeGraph) -> pl.DataFrame:
    """Columns concept, node, via, one row a pair, sorted; generic nodes are never linked.

    `vocabulary` is a frame of `concepts_schema()`. via: `exact`, the node has a code of the
    concept (with its direction); `name`, it has its name; `mapped`, such a node is mapped to it;
    `parent`, the node of a code cut from the right, of the test without its direction, or of the
    genus, taken only where nothing nearer carries a relation that says more than a place.
    """
    target = _Target(graph)
    asked = _asked(vocabulary)
    codes = _codes(asked, target)
    found = [_by_code(codes, target), _by_test(codes, asked, target)]
    itself = pl.concat(found).filter(pl.col("via") != "parent").select("concept")
    has_codes = pl.col("kind").is_in(["diagnosis", "procedure", "ccs"])
    unnamed = pl.concat(
        [asked.filter(~has_codes), asked.filter(has_codes).join(itself, on="concept", how="anti")]
    )
    found.append(_by_name(_names(unnamed), target))
    links = pl.concat([frame.select("concept", "node", "via") for frame in found])
    return _nearest(links)


@dataclass(frozen=True)
class _Target:
    """The graph as a linker asks for it; without generic nodes."""

    graph: KnowledgeGraph

    @cached_property
    def nodes(self) -> pl.DataFrame:
        """Columns node, family, own: kinds that no family has keep their kind as family."""
        nodes = with_family(self.graph.nodes.filter(~pl.col("generic")))
        return nodes.select("node", "family", own=pl.col("name").str.to_lowercase())

    @cached_property
    def xrefs(self) -> pl.DataFrame:
        """Columns node, system, code; ICD codes without dots. A code of too many is left out."""
        is_icd = pl.col("system").is_in(list(ICD))
        bare = pl.when(is_icd).then(pl.col("code").str.replace(".", "", literal=True))
        frame = self.graph.xrefs.join(self.nodes, on="node", how="semi")
        own = pl.col("node") == pl.concat_str("system", pl.lit(":"), "code")
        return (
            frame.with_columns(own=own, code=bare.otherwise("code"))
            .filter((pl.len().over("system", "code") <= MOST_NODES) | pl.col("own"))
            .select("node", "system", "code")
            .unique()
        )

    @cached_property
    def anchors(self) -> pl.DataFrame:
        """Columns node, onto: what a node is mapped to, in one step or two."""
        edges = self.graph.edges.filter(pl.col("relation").is_in(list(ANCHORING)))
        one = edges.select(node="head", onto="tail")
        first = edges.filter(pl.col("relation") == "mapped_to").select(node="head", middle="tail")
        two = first.join(one, left_on="middle", right_on="node").select("node", "onto")
        ends = self.nodes.select(onto="node")
        return pl.concat([one, two]).unique().join(ends, on="onto", how="semi")

    @cached_property
    def telling(self) -> pl.DataFrame:
        """Nodes with a relation that says more than where they stand."""
        edges = self.graph.edges.filter(~pl.col("relation").is_in(list(PLACING)))
        return pl.concat([edges.select(node="head"), edges.select(node="tail")]).unique()


def _asked(vocabulary: pl.DataFrame) -> pl.DataFrame:
    """Columns concept, kind, name (without direction), direction, codes."""
    parts = pl.col("concept").str.split("//")
    last = pl.when(pl.col("kind").is_in(list(MEASURED))).then(parts.list.last())
    asked = vocabulary.select("concept", "kind", "codes", title="name", direction=last)
    directed = pl.col("direction").is_in(list(DIRECTIONS)) & (parts.list.len() > 2)
    asked = asked.with_columns(direction=pl.when(directed).then("direction"))
    bare = pl.col("concept").str.strip_prefix(pl.concat_str("kind", pl.lit("//")))
    suffix = pl.concat_str(pl.lit("//"), pl.col("direction").fill_null(""))
    bare = bare.str.strip_suffix(suffix)
    coded = pl.col("kind").is_in(["diagnosis", "procedure"])
    name = pl.when(coded).then(pl.col("title").str.to_lowercase()).otherwise(bare)
    return asked.select("concept", "kind", "direction", "codes", name=name.str.strip_chars())


def _codes(asked: pl.DataFrame, target: _Target) -> pl.DataFrame:
    """Columns concept, kind, direction, system, code.

    Those of the vocabulary, of the concept itself where it is a code, the LOINC of its test.
    """
    keys = ("concept", "kind", "direction")
    listed = asked.explode("codes").drop_nulls("codes")
    given = listed.select(
        *keys,
        system=pl.col("codes").str.extract(r"^([^:]+):", 1).str.to_uppercase(),
        code=pl.col("codes").str.replace(r"^[^:]+:", ""),
    )
    shape = pl.col("concept").str.extract(r"^([a-z]+//[a-z0-9]+)//", 1)
    system = shape.replace_strict(CODE_SYSTEMS, default=None, return_dtype=pl.String)
    own = asked.select(*keys, system=system, code=pl.col("concept").str.extract(r"([^/]+)$", 1))
    codes = pl.concat([given, own]).drop_nulls(["system", "code"])
    is_icd = pl.col("system").is_in(list(ICD))
    plain = pl.col("code").str.strip_chars()
    digits = plain.str.replace_all("-", "", literal=True).str.pad_start(11, "0")
    codes = codes.with_columns(
        code=pl.when(is_icd)
        .then(plain.str.replace_all(".", "", literal=True).str.to_uppercase())
        .when(pl.col("system") == "NDC")
        .then(digits)
        .otherwise(plain)
    )
    tests = codes.filter(pl.col("system") == "MIMIC").join(target.xrefs, on=["system", "code"])
    loinc = target.graph.xrefs.filter(
        (pl.col("system") == "LOINC") & ~pl.col("code").str.contains("//", literal=True)
    )
    named = tests.select(*keys, "node").join(loinc, on="node")
    return pl.concat([codes, named.select(codes.columns)]).unique()


def _by_code(codes: pl.DataFrame, target: _Target) -> pl.DataFrame:
    """Nodes of the codes themselves, and of the first parent that tells something."""
    plain = codes.filter(pl.col("direction").is_null())
    ups = pl.DataFrame({"up": list(range(max(CUTS.values()) + 1))}, schema={"up": pl.Int64})
    length = pl.col("code").str.len_chars() - pl.col("up")
    most, least = (
        pl.col("system").replace_strict(table, default=0, return_dtype=pl.Int64)
        for table in (CUTS, SHORTEST)
    )
    cut = plain.join(ups, how="cross").filter((pl.col("up") <= most) & (length >= least))
    cut = cut.with_columns(code=pl.col("code").str.slice(0, length))
    met = cut.join(target.xrefs, on=["system", "code"]).select("concept", "kind", "node", "up")
    met = pl.concat([met, _by_isa(met, target), _by_node(codes)]).unique()
    mapped = met.join(target.anchors, on="node").select("concept", "kind", "up", node="onto")
    met = pl.concat([met.with_columns(step=0), mapped.select(met.columns).with_columns(step=1)])
    told = met.join(target.telling, on="node", how="semi").group_by("concept").agg(pl.min("up"))
    reached = met.join(told.rename({"up": "told"}), on="concept", how="left")
    via = (
        pl.when(pl.col("up") > 0)
        .then(pl.lit("parent"))
        .otherwise(pl.when(pl.col("step") > 0).then(pl.lit("mapped")).otherwise(pl.lit("exact")))
    )
    nearest = pl.coalesce("told", pl.min("up").over("concept"))
    kept = reached.filter((pl.col("up") == 0) | (pl.col("up") == nearest)).with_columns(via=via)
    return _without_generic(kept, target)


def _by_isa(met: pl.DataFrame, target: _Target) -> pl.DataFrame:
    """Of procedures, what their codes' nodes are a kind of, up to three steps away."""
    isa = target.graph.edges.filter(pl.col("relation") == "isa").select(node="head", onto="tail")
    at = met.filter((pl.col("kind") == "procedure") & (pl.col("up") == 0))
    steps = [met.clear()]
    for _ in range(3):
        at = at.join(isa, on="node").select("concept", "kind", node="onto", up=pl.col("up") + 1)
        steps.append(at.unique())
    return pl.concat(steps)


def _by_node(codes: pl.DataFrame) -> pl.DataFrame:
    """Concepts that name their node themselves, `NODE:<node>`, such as findings of notes."""
    named = codes.filter(pl.col("system") == "NODE")
    return named.select("concept", "kind", node="code", up=pl.lit(0, dtype=pl.Int64))


def _by_test(codes: pl.DataFrame, asked: pl.DataFrame, target: _Target) -> pl.DataFrame:
    """Of concepts with a direction: nodes of code//direction, else the test itself as parent."""
    words = pl.col("direction").replace_strict(
        WORDS_OF, default=[], return_dtype=pl.List(pl.String)
    )
    directed = codes.drop_nulls("direction").with_columns(word=words)
    exact = directed.explode("word").with_columns(
        code=pl.concat_str("code", pl.lit("//"), "word"), via=pl.lit("exact")
    )
    plain = directed.with_columns(via=pl.lit("parent"))
    both = pl.concat([frame.select("concept", "system", "code", "via") for frame in (exact, plain)])
    by_code = both.join(target.xrefs, on=["system", "code"]).select("concept", "node", "via")
    bare = asked.drop_nulls("direction").with_columns(direction=pl.lit(None, dtype=pl.String))
    by_name = _by_name(_names(bare), target).with_columns(via=pl.lit("parent"))
    return _without_generic(pl.concat([by_code, by_name.select(by_code.columns)]), target)


def _names(asked: pl.DataFrame) -> pl.DataFrame:
    """Columns concept, family, name, rank: what a node may be called, the likeliest first."""
    families = [(kind, family) for kind, names in FAMILY_OF.items() for family in names]
    table = pl.DataFrame(families, schema=["kind", "family"], orient="row")
    plain = asked.join(table, on="kind").with_columns(rank=pl.lit(0))
    kinds = [
        plain,
        _drug_names(plain.filter(pl.col("family") == "drug")),
        _organism_names(plain.filter(pl.col("family") == "organism")),
        _lab_names(plain.filter(pl.col("family") == "test")),
    ]
    names = pl.concat([frame.select(plain.columns) for frame in kinds])
    directed = pl.col("direction").is_not_null()
    words = pl.col("direction").replace_strict(
        WORDS_OF, default=[""], return_dtype=pl.List(pl.String)
    )
    return (
        names.with_columns(word=words)
        .explode("word")
        .select(
            "concept", "rank",
            family=pl.when(directed).then(pl.lit("problem")).otherwise("family"),
            name=pl.concat_str("name", pl.lit(" "), pl.col("word").fill_null("")).str.strip_chars(),
        )
        .unique()
    )  # fmt: skip


def _drug_names(plain: pl.DataFrame) -> pl.DataFrame:
    """Its ingredient, other names of it, and the parts of a combination."""
    pure = plain.with_columns(name=ingredients(plain["name"]), rank=pl.lit(1)).drop_nulls("name")
    other = _also(pl.concat([plain, pure]), "drug_names", rank=2)
    joined = pure.filter(pl.col("name").str.contains("-", literal=True))
    slashed = joined.with_columns(
        name=pl.col("name").str.replace_all("-", " / ", literal=True), rank=pl.lit(1)
    )
    parts = joined.with_columns(name=pl.col("name").str.split("-"), rank=pl.lit(3)).explode("name")
    return pl.concat([pure, other, slashed, parts.filter(pl.col("name").str.len_chars() > 4)])


def _organism_names(plain: pl.DataFrame) -> pl.DataFrame:
    bare = plain.with_columns(
        name=pl.col("name").str.replace_all(ORGANISM_REMARKS, " ").str.replace_all(r"\s+", " ")
        .str.strip_chars(" .,-"),
        rank=pl.lit(1),
    )  # fmt: skip
    other = _also(pl.concat([plain, bare]), "organism_names", rank=1)
    two = bare.with_columns(name=pl.col("name").str.extract(r"^(\w+ \w+) ", 1), rank=pl.lit(2))
    genus = bare.with_columns(name=pl.col("name").str.extract(r"^(\w+)", 1), rank=pl.lit(GENUS))
    return pl.concat([bare, other, two, genus]).drop_nulls("name")


GENUS = 9  # a rank by itself: a genus is no more than a parent


def _lab_names(plain: pl.DataFrame) -> pl.DataFrame:
    return _also(plain, "lab_names", rank=1)


def _also(plain: pl.DataFrame, table: str, *, rank: int) -> pl.DataFrame:
    """The other names of a table of names, in place of each that it knows."""
    other = plain.join(alternatives(table), on="name").with_columns(name="also", rank=pl.lit(rank))
    return other.select(plain.columns)


def _by_name(names: pl.DataFrame, target: _Target) -> pl.DataFrame:
    """Nodes of the right family (or of a kind that no family knows) by the best name they have."""
    held = target.graph.names.select("name", "node").join(
        target.nodes.rename({"family": "theirs"}), on="node"
    )
    known = [*FAMILIES]
    fits = (pl.col("theirs") == pl.col("family")) | ~pl.col("theirs").is_in([*known, *AIMLESS])
    met = names.join(held, on="name").filter(fits)
    met = met.with_columns(rank=2 * pl.col("rank") + (pl.col("own") != pl.col("name")))
    best = met.filter(pl.col("rank") == pl.min("rank").over("concept"))
    few = best.unique(["concept", "node"]).filter(pl.len().over("concept") <= MOST_NODES)
    via = pl.when(pl.col("rank") < 2 * GENUS).then(pl.lit("name")).otherwise(pl.lit("parent"))
    return few.select("concept", "node", via=via)


# Kinds that no family has and that no concept of a chart is.
AIMLESS = (
    "anatomy", "behavior", "device", "gene", "group", "pathway", "place", "process", "protein",
    "ccs", "phecode",
)  # fmt: skip


def _without_generic(links: pl.DataFrame, target: _Target) -> pl.DataFrame:
    kept = links.join(target.nodes, on="node", how="semi")
    return kept.select("concept", "node", "via")


def _nearest(links: pl.DataFrame) -> pl.DataFrame:
    """Each pair once, by its best via; a test without direction only where nothing better is."""
    order = pl.Enum(VIAS)
    return (
        links.with_columns(pl.col("via").cast(order))
        .sort("concept", "node", "via")
        .unique(["concept", "node"], keep="first", maintain_order=True)
        .filter(
            ~pl.col("concept").str.contains(MEASURED_DIRECTED)
            | (pl.col("via") == pl.min("via").over("concept"))
            | (pl.col("via") < pl.lit("parent", dtype=order))
        )
        .with_columns(pl.col("via").cast(pl.String))
    )


MEASURED_DIRECTED = rf"^(?:{'|'.join(MEASURED)})//.*//(?:{'|'.join(DIRECTIONS)})$"
