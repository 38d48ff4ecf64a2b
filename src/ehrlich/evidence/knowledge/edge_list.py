"""A user's own edge list (Parquet, TSV, CSV; also .gz) as a knowledge graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.evidence.knowledge.graph import KnowledgeGraph, checked

EDGE_COLUMNS = ("head", "relation", "tail")
SEPARATORS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
MANY = "|"  # between several names, or several codes, of one node
GENERIC = ("1", "true", "yes")


def edge_list_graph(
    edges: Path, nodes: Path | None = None, *, source: str = "edge list", licence: str = "own"
) -> KnowledgeGraph:
    """The graph of one file of edges and, if given, one of nodes.

    - edges: columns head, relation, tail; may have source, licence, and of each end head_name,
      head_kind, head_xrefs (tail_name, ...).
    - nodes: column node; may have name, names, kind, xrefs, generic, source, licence. Where this
      file is given, edges of other nodes are dropped. names: `a|b`; xrefs: `SYSTEM:CODE|...`.
    - Counted: edges with an empty field, of unknown nodes, from a node to itself; codes without
      a system. Raises DataError for a file that cannot be read or lacks a column.
    """
    dropped: Counter[str] = Counter()
    links = _read(edges, EDGE_COLUMNS)
    whole = links.filter(pl.all_horizontal(pl.col(*EDGE_COLUMNS).fill_null("") != ""))
    dropped["edge: an empty field"] = links.height - whole.height
    origin = {"source": source, "licence": licence}
    whole = _filled(whole, origin)
    ends = _ends(whole)
    given = ends if nodes is None else _filled(_read(nodes, ("node",)), origin)
    given = _filled(given, dict.fromkeys(("name", "names", "kind", "xrefs", "generic"), ""))
    codes = _several(given, "xrefs")
    has_system = pl.col("xrefs").str.contains(r"^[^:]+:.")
    dropped["xref: no system"] = codes.filter(~has_system).height
    is_generic = pl.col("generic").str.to_lowercase().is_in(list(GENERIC))
    return checked(
        KnowledgeGraph(
            nodes=given.with_columns(generic=is_generic),
            names=_names(given),
            edges=whole,
            xrefs=codes.filter(has_system).select(
                "node",
                system=pl.col("xrefs").str.extract(r"^([^:]+):", 1).str.to_uppercase(),
                code=pl.col("xrefs").str.replace(r"^[^:]+:", ""),
            ),
            dropped=dropped,
        )
    )


def _read(path: Path, needed: tuple[str, ...]) -> pl.DataFrame:
    """The file, every column as text without white space at its ends."""
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix != ".parquet" and suffix not in SEPARATORS:
        raise DataError("is of no known kind", where=str(path), expected=".parquet, .tsv or .csv")
    try:
        if suffix == ".parquet":
            frame = pl.read_parquet(path)
        else:
            quote = '"' if suffix == ".csv" else None
            separator = SEPARATORS[suffix]
            frame = pl.read_csv(path, separator=separator, quote_char=quote, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as exc:
        reason = str(exc).splitlines()[0] if isinstance(exc, OSError) else type(exc).__name__
        raise DataError("cannot be read as a table", where=str(path), got=reason) from exc
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise DataError(
            f"has no column {', '.join(missing)}",
            where=str(path),
            got=", ".join(frame.columns),
            expected=", ".join(needed),
        )
    flat = [name for name, dtype in frame.schema.items() if not dtype.is_nested()]
    return frame.select(pl.col(flat).cast(pl.String).str.strip_chars())


def _filled(frame: pl.DataFrame, defaults: dict[str, str]) -> pl.DataFrame:
    """With every column of `defaults`, empty fields filled."""
    columns = [
        (pl.col(name).fill_null(value) if name in frame.columns else pl.lit(value)).alias(name)
        for name, value in defaults.items()
    ]
    return frame.with_columns(columns)


def _ends(edges: pl.DataFrame) -> pl.DataFrame:
    """The nodes that edges name, with what the edges say of them; first come, first kept."""
    extra = ("name", "kind", "xrefs")
    filled = _filled(edges, {f"{end}_{what}": "" for end in ("head", "tail") for what in extra})
    both = pl.concat(
        [
            filled.select(
                "source", "licence", node=end, **{what: pl.col(f"{end}_{what}") for what in extra}
            )
            for end in ("head", "tail")
        ]
    )
    told = [pl.col(what).filter(pl.col(what) != "").first().fill_null("") for what in extra]
    first = [pl.first("source"), pl.first("licence")]
    return both.group_by("node", maintain_order=True).agg(*told, *first)


def _several(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    split = frame.with_columns(pl.col(column).str.split(MANY)).explode(column)
    return split.with_columns(pl.col(column).str.strip_chars()).filter(pl.col(column) != "")


def _names(nodes: pl.DataFrame) -> pl.DataFrame:
    own = pl.when(pl.col("name") == "").then("node").otherwise("name")
    return pl.concat(
        [
            nodes.select("node", "source", name=own),
            _several(nodes, "names").select("node", "source", name="names"),
        ]
    )
