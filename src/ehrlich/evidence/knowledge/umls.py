"""A user's own UMLS (MRCONSO, MRREL, MRSTY, MRSAT; .RRF or .RRF.gz) as a knowledge graph.

Files are read in blocks, so memory grows with what is kept, not with the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.evidence.knowledge.graph import KnowledgeGraph, checked
from ehrlich.evidence.knowledge.seed import seed_table

LICENCE = "UMLS Metathesaurus License"
COLUMNS = {
    "MRCONSO": (
        "CUI LAT TS LUI STT SUI ISPREF AUI SAUI SCUI SDUI SAB TTY CODE STR SRL SUPPRESS CVF"
    ),
    "MRREL": "CUI1 AUI1 STYPE1 REL CUI2 AUI2 STYPE2 RELA RUI SRUI SAB SL RG DIR SUPPRESS CVF",
    "MRSTY": "CUI TUI STN STY ATUI CVF",
    "MRSAT": "CUI LUI SUI METAUI STYPE CODE ATUI SATUI ATN SAB ATV SUPPRESS CVF",
}
BLOCK_BYTES = 1 << 25
# Source vocabulary → what the same codes are called elsewhere in the graph.
SYSTEMS = {
    "ICD10CM": "ICD10CM", "ICD9CM": "ICD9CM", "ICD10PCS": "ICD10PCS", "RXNORM": "RXNORM",
    "LNC": "LOINC", "MSH": "MESH", "SNOMEDCT_US": "SNOMED", "HPO": "HP", "NDFRT": "NDFRT",
    "MED-RT": "MEDRT", "ATC": "ATC", "NCBI": "NCBITAXON", "NCI": "NCIT", "OMIM": "OMIM",
    "MONDO": "MONDO", "GO": "GO",
}  # fmt: skip
PREFIXED = r"^(HP|MONDO|GO):"
# Siblings and qualifiers say nothing; XR says that there is no relation.
NO_RELATION = ("SIB", "AQ", "QB", "XR", "DEL", "")
TOO_BROAD = (
    "disease", "disorder", "syndrome", "finding", "clinical finding", "symptom", "symptoms",
    "sign or symptom", "procedure", "pharmaceutical preparations", "drug", "patient",
)  # fmt: skip
# What says the same read either way: one row of the two stays.
SYMMETRIC = ("associated_with", "related_to", "similar_to", "synonym_of")
SAMPLE = 64  # of the pairs from which the inverse of a relation is learnt, one in so many


@dataclass(frozen=True)
class UmlsFiles:
    """Where the files are; `sat` brings NDC codes."""

    conso: Path
    rel: Path
    sty: Path
    sat: Path | None = None


def umls_files(folder: Path) -> UmlsFiles:
    """The RRF files in a folder. Raises DataError where one that is needed is not there."""
    found: dict[str, Path] = {}
    for name in COLUMNS:
        both = (folder / f"{name}.RRF", folder / f"{name}.RRF.gz")
        for path in filter(Path.is_file, both):
            found.setdefault(name, path)
    missing = [f"{name}.RRF" for name in ("MRCONSO", "MRREL", "MRSTY") if name not in found]
    if missing:
        raise DataError(
            "holds no UMLS release",
            where=str(folder),
            expected=", ".join(missing),
            do="Unpack the META folder of the release (.RRF or .RRF.gz).",
        )
    return UmlsFiles(found["MRCONSO"], found["MRREL"], found["MRSTY"], found.get("MRSAT"))


def umls_graph(files: UmlsFiles) -> KnowledgeGraph:
    """Concepts with an English name that is not suppressed, and what relates them.

    Each pair of rows that say one thing both ways gives one edge: relations that
    umls_relations.tsv knows get our name and its direction; of others and their inverse, learnt
    from the rows, the one first in the alphabet stays. Source: the vocabulary (SAB) that says it.
    Counted: broken lines, suppressed rows, rows of unknown concepts, rows that say nothing.
    """
    dropped: Counter[str] = Counter()
    atoms, xrefs = _atoms(files, dropped)
    nodes = _nodes(atoms, _types(files, dropped))
    edges = _relations(files, nodes.select("node"), dropped=dropped)
    return checked(
        KnowledgeGraph(nodes, atoms.select("node", "name", "source"), edges, xrefs, dropped=dropped)
    )


def _blocks(path: Path, wanted: str, *, dropped: Counter[str]) -> Iterator[pl.DataFrame]:
    """The wanted columns of a file, block by block, every field text; broken lines are counted."""
    import pyarrow as pa
    from pyarrow import csv

    table = path.name.split(".")[0].upper()
    columns = [*COLUMNS[table].split(), "end"]  # every line ends with a bar

    def skip(_: object) -> str:
        dropped[f"{table}: broken line"] += 1
        return "skip"

    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            reader = csv.open_csv(
                stream,
                read_options=csv.ReadOptions(column_names=columns, block_size=BLOCK_BYTES),
                parse_options=csv.ParseOptions(
                    delimiter="|", quote_char=False, invalid_row_handler=skip
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=wanted.split(),
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                yield pl.DataFrame(pl.from_arrow(batch))
    except (OSError, pa.ArrowException) as exc:
        raise DataError("cannot be read as RRF", where=str(path), got=type(exc).__name__) from exc


def _unsuppressed(block: pl.DataFrame, table: str, *, dropped: Counter[str]) -> pl.DataFrame:
    kept = block.filter(pl.col("SUPPRESS").is_in(["N", ""]))
    dropped[f"{table}: suppressed"] += block.height - kept.height
    return kept


def _atoms(files: UmlsFiles, dropped: Counter[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Columns node, name, source, rank (0: the preferred name); and the codes."""
    names, codes = [], []
    wanted = "CUI LAT TS STT ISPREF SAB CODE STR SUPPRESS"
    for block in _blocks(files.conso, wanted, dropped=dropped):
        english = block.filter(pl.col("LAT") == "ENG")
        dropped["MRCONSO: not English"] += block.height - english.height
        kept = _unsuppressed(english, "MRCONSO", dropped=dropped)
        rank = sum(
            (pl.col(column) != best).cast(pl.UInt8) * weight
            for column, best, weight in (("TS", "P", 4), ("STT", "PF", 2), ("ISPREF", "Y", 1))
        )
        ranked = kept.select(node="CUI", name="STR", source="SAB", rank=rank)
        low = pl.col("name").str.to_lowercase()
        names.append(ranked.sort("node", "rank").unique(["node", low.alias("low")], keep="first"))
        codes.append(_codes(kept))
    if files.sat is not None:
        codes += _ndc(files.sat, dropped)
    return pl.concat(names), pl.concat(codes).unique()


def _codes(atoms: pl.DataFrame) -> pl.DataFrame:
    system = pl.col("SAB").replace_strict(SYSTEMS, default=None, return_dtype=pl.String)
    code = pl.col("CODE").str.replace(PREFIXED, "")
    given = atoms.filter(~pl.col("CODE").is_in(["", "NOCODE"]))
    return given.select(node="CUI", system=system, code=code).drop_nulls("system").unique()


def _ndc(path: Path, dropped: Counter[str]) -> list[pl.DataFrame]:
    found = []
    for block in _blocks(path, "CUI ATN ATV SUPPRESS", dropped=dropped):
        rows = _unsuppressed(block.filter(pl.col("ATN") == "NDC"), "MRSAT", dropped=dropped)
        digits = rows.select(node="CUI", system=pl.lit("NDC"), code=pl.col("ATV").str.strip_chars())
        found.append(digits.filter(pl.col("code").str.contains(r"^\d{11}$")).unique())
    return found


def _types(files: UmlsFiles, dropped: Counter[str]) -> pl.DataFrame:
    """Columns node, kind, generic: of several types, the first of umls_types.tsv."""
    table = seed_table("umls_types").with_row_index("order")
    blocks = [
        block.join(table, left_on="TUI", right_on="tui")
        for block in _blocks(files.sty, "CUI TUI", dropped=dropped)
    ]
    if not blocks:
        return pl.DataFrame(schema={"node": pl.String, "kind": pl.String, "broad": pl.Boolean})
    typed = pl.concat(blocks).sort("CUI", "order").unique("CUI", keep="first")
    return typed.select(node="CUI", kind="kind", broad=pl.col("generic") == "1")


def _nodes(atoms: pl.DataFrame, types: pl.DataFrame) -> pl.DataFrame:
    best = atoms.sort("node", "rank", "name").unique("node", keep="first", maintain_order=True)
    return best.join(types, on="node", how="left").select(
        "node", "name", "source",
        kind=pl.col("kind").fill_null("other"),
        licence=pl.lit(LICENCE),
        generic=pl.col("broad").fill_null(value=False)
        | pl.col("name").str.to_lowercase().is_in(list(TOO_BROAD)),
    )  # fmt: skip


def _relations(files: UmlsFiles, nodes: pl.DataFrame, *, dropped: Counter[str]) -> pl.DataFrame:
    """Edges one way. A row reads: CUI2 RELA CUI1; an empty RELA falls back to REL."""
    blocks, samples = [], []
    known = seed_table("umls_relations").with_columns(reversed=pl.col("reversed") == "1")
    for block in _blocks(files.rel, "CUI1 REL CUI2 RELA SAB SUPPRESS", dropped=dropped):
        kept = _unsuppressed(block, "MRREL", dropped=dropped)
        rela = pl.when(pl.col("RELA") == "").then("REL").otherwise("RELA")
        rows = kept.select(head="CUI2", rela=rela, tail="CUI1", source="SAB")
        rows = _telling(rows, nodes, dropped=dropped)
        rows = rows.unique(["head", "rela", "tail"], keep="first")
        told = rows.join(known, on="rela", how="left")
        samples.append(_sampled(told.filter(pl.col("relation").is_null())))
        blocks.append(_turned(told))
    if not blocks:
        raise DataError("holds no line", where=str(files.rel))
    edges = pl.concat(blocks)
    second, symmetric = _inverses(pl.concat(samples))
    kept = edges.filter(~pl.col("relation").is_in(second))
    either_way = pl.col("relation").is_in([*SYMMETRIC, *symmetric])
    turned = either_way & (pl.col("head") > pl.col("tail"))
    one_way = kept.with_columns(
        head=pl.when(turned).then("tail").otherwise("head"),
        tail=pl.when(turned).then("head").otherwise("tail"),
        licence=pl.lit(LICENCE),
    ).unique(["head", "relation", "tail"], keep="first")
    dropped["MRREL: says again what another row says"] += edges.height - one_way.height
    return one_way


def _telling(rows: pl.DataFrame, nodes: pl.DataFrame, *, dropped: Counter[str]) -> pl.DataFrame:
    said = rows.filter(~pl.col("rela").is_in(list(NO_RELATION)))
    dropped["MRREL: siblings, qualifiers and the like"] += rows.height - said.height
    apart = said.filter(pl.col("head") != pl.col("tail"))
    dropped["MRREL: within one concept"] += said.height - apart.height
    ends = apart.join(nodes, left_on="head", right_on="node", how="semi")
    ends = ends.join(nodes, left_on="tail", right_on="node", how="semi")
    dropped["MRREL: unknown concept"] += apart.height - ends.height
    return ends


def _turned(rows: pl.DataFrame) -> pl.DataFrame:
    """Under our name and direction where the table knows the relation."""
    back = pl.col("reversed").fill_null(value=False)
    return rows.select(
        head=pl.when(back).then("tail").otherwise("head"),
        relation=pl.coalesce("relation", "rela"),
        tail=pl.when(back).then("head").otherwise("tail"),
        source="source",
    )


def _sampled(rows: pl.DataFrame) -> pl.DataFrame:
    """All rows of one pair of concepts in SAMPLE, whichever way they go."""
    low, high = pl.min_horizontal("head", "tail"), pl.max_horizontal("head", "tail")
    number = pl.concat_str(low, high).hash(seed=0)
    return rows.filter(number % SAMPLE == 0).select("head", "rela", "tail", "source")


def _inverses(rows: pl.DataFrame) -> tuple[list[str], list[str]]:
    """Relations whose inverse sorts before them, and those that are their own inverse.

    The inverse is the relation that most often stands the other way round, and mutually so.
    """
    back = rows.select(head="tail", tail="head", inverse="rela", source="source")
    both = rows.join(back, on=["head", "tail", "source"]).group_by("rela", "inverse").len()
    mostly = both.sort("len", "inverse", descending=[True, False]).unique(
        "rela", keep="first", maintain_order=True
    )
    mutual = mostly.join(mostly, left_on=["rela", "inverse"], right_on=["inverse", "rela"])
    second = mutual.filter(pl.col("inverse") < pl.col("rela"))
    own = mutual.filter(pl.col("inverse") == pl.col("rela"))
    return second["rela"].to_list(), own["rela"].to_list()
