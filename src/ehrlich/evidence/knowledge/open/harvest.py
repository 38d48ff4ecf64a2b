"""What one source says, by the ids it uses: before ids of different sources become one node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

PARTS: Mapping[str, tuple[str, ...]] = {
    "terms": ("id", "name", "kind", "source"),
    "names": ("id", "name", "source"),
    "edges": ("head", "relation", "tail", "source"),
    "xrefs": ("id", "system", "code"),
    "same": ("id", "other", "why"),
    "broad": ("id",),
}
MENTION = "~"


@dataclass(frozen=True)
class Harvest:
    """Frames of text columns, `PARTS` says which.

    - terms: what has an id of its own. The name is the preferred one.
    - edges: an end is an id, or a `mention` of a name that is looked up when all is read.
    - same: proposals that two ids mean one thing; `clusters` decides. broad: generic ids.
    """

    terms: pl.DataFrame
    names: pl.DataFrame
    edges: pl.DataFrame
    xrefs: pl.DataFrame
    same: pl.DataFrame
    broad: pl.DataFrame
    dropped: Mapping[str, int] = field(default_factory=dict)


def said_by(
    source: str, dropped: Mapping[str, int] | None = None, **frames: pl.DataFrame
) -> Harvest:
    """A harvest of the parts given, each under the name of its source; the others are empty."""
    parts = {}
    for part, columns in PARTS.items():
        frame = frames.pop(part, None)
        if frame is None:
            frame = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
        elif "source" in columns and "source" not in frame.columns:
            frame = frame.with_columns(source=pl.lit(source))
        parts[part] = frame.select(columns).cast(pl.String).drop_nulls().unique(maintain_order=True)
    assert not frames, f"no part of a harvest: {', '.join(frames)}"
    counted = {f"{source}: {reason}": n for reason, n in (dropped or {}).items() if n}
    return Harvest(**parts, dropped=counted)


def together(harvests: Iterable[Harvest]) -> Harvest:
    """All that was said; a term given twice keeps what was said first."""
    held = list(harvests)
    frames = {
        part: pl.concat([getattr(harvest, part) for harvest in held], how="vertical")
        for part in PARTS
    }
    frames["terms"] = frames["terms"].unique("id", keep="first", maintain_order=True)
    dropped: Counter[str] = Counter()
    for harvest in held:
        dropped.update(harvest.dropped)
    return Harvest(**frames, dropped=dict(dropped))


def plain(text: pl.Expr) -> pl.Expr:
    """A name as names are compared: lower case, no possessive, words apart by one blank."""
    return (
        text.str.to_lowercase()
        .str.replace_all(r"['\x{2019}]s\b", "")
        .str.replace_all(r"[^\p{L}\p{N}+%]+", " ")
        .str.strip_chars()
    )


def mention(kind: str, text: pl.Expr) -> pl.Expr:
    """A name to be looked up among nodes of a `kind`: disease, drug, organism, ..."""
    name = plain(text)
    return (
        pl.when(name.str.len_chars() > 0)
        .then(pl.concat_str(pl.lit(f"{MENTION}{kind}{MENTION}"), name))
        .otherwise(None)
    )


def below(isa: pl.DataFrame, roots: Iterable[str]) -> pl.DataFrame:
    """Ids (column `id`) of the roots and of all that stands under them; isa: head, tail."""
    found = pl.DataFrame({"id": list(roots)}, schema={"id": pl.String})
    last = found
    while last.height:
        children = isa.join(last, left_on="tail", right_on="id", how="semi")
        last = (
            children.select(id="head").unique().join(found, on="id", how="anti", nulls_equal=True)
        )
        found = pl.concat([found, last])
    return found


def first_levels(
    isa: pl.DataFrame, roots: Iterable[str], *, levels: int, more_than: int
) -> pl.DataFrame:
    """Ids (column `id`) too broad to mean much: the roots, and of their children down to `levels`
    those that stand above `more_than` others.
    """
    level = pl.DataFrame({"id": list(roots)}, schema={"id": pl.String})
    top = level
    candidates = []
    for _ in range(levels):
        level = isa.join(level, left_on="tail", right_on="id", how="semi").select(id="head")
        candidates.append(level)
    above = pl.concat(candidates).unique()
    reached = above.select(top="id", id="id")
    last = reached
    while last.height:
        last = (
            last.join(isa.select(id="tail", child="head"), on="id")
            .select("top", id="child")
            .unique()
            .join(reached, on=["top", "id"], how="anti")
        )
        reached = pl.concat([reached, last])
    broad = reached.group_by("top").len().filter(pl.col("len") > more_than)
    return pl.concat([top, broad.select(id="top")]).unique()
