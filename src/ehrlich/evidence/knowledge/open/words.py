"""Do two titles speak of the same thing? Content words, and names found within titles."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import polars as pl

from ehrlich.base.config import Model, load_model
from ehrlich.evidence.knowledge.open.harvest import plain

LETTERS = 4
STEM = 6
FEWEST_LETTERS = 5


class Words(Model):
    """`words.yaml`: words that say little, each list for one purpose."""

    empty: tuple[str, ...]
    no_name: tuple[str, ...]
    absent_after: tuple[str, ...]
    salts: tuple[str, ...]
    too_broad: tuple[str, ...]


@cache
def words() -> Words:
    """The lists that come with the package."""
    return load_model(Words, files("ehrlich.evidence.knowledge.open") / "words.yaml")


def content_words(text: pl.Expr) -> pl.Expr:
    """First letters of the words that carry a title's meaning."""
    return (
        plain(text)
        .str.split(" ")
        .list.eval(
            pl.element()
            .filter((pl.element().str.len_chars() >= LETTERS) & ~pl.element().is_in(words().empty))
            .str.head(STEM)
        )
        .list.unique()
    )


def share_a_word(one: str, other: str) -> pl.Expr:
    """Whether the titles in two columns have a content word in common."""
    both = content_words(pl.col(one)).list.set_intersection(content_words(pl.col(other)))
    return both.list.len() > 0


def likeness(one: str, other: str) -> pl.Expr:
    """Of the content words of two titles, the share that both have."""
    mine, theirs = content_words(pl.col(one)), content_words(pl.col(other))
    both = mine.list.set_intersection(theirs).list.len()
    return both / pl.max_horizontal(mine.list.set_union(theirs).list.len(), 1)


def is_rest_of(title: str, name: str) -> pl.Expr:
    """Whether a title means all others of a kind (`Other ...`), and the name one certain kind."""
    rest = plain(pl.col(title)).str.contains(r"^other | other specified | not elsewhere classified")
    mine, theirs = content_words(pl.col(title)), content_words(pl.col(name))
    return rest & (theirs.list.set_difference(mine).list.len() > 0)


def is_subtype_of_a_gene(name: pl.Expr, title: pl.Expr) -> pl.Expr:
    """Whether a name ends in a number or letter (`... 1W`) that the title does not have."""
    last = plain(name).str.extract(r" (\d+[a-z]{0,2}|[a-z]\d*|[ivx]+)$")
    in_title = pl.concat_str(pl.lit(" "), plain(title), pl.lit(" ")).str.contains(
        pl.concat_str(pl.lit(" "), last, pl.lit(" ")), literal=True
    )
    return last.is_not_null() & ~in_title.fill_null(value=False)


def mentioned(titles: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """head, tail: nodes whose name (`node`, `word`) stands in the title of another (same columns).

    Of names within each other the longest; not what a title says is absent or only looked for.
    """
    known = names.filter(
        (pl.col("word").str.len_chars() >= FEWEST_LETTERS) & ~pl.col("word").is_in(words().no_name)
    ).unique("word", keep="none")
    patterns = (" " + known["word"] + " ").to_list()
    if not patterns or titles.is_empty():
        return pl.DataFrame(schema={"head": pl.String, "tail": pl.String})
    cut = rf"(?i)[,(]?\s*\b(?:{'|'.join(words().absent_after)})\b.*$"
    text = plain(pl.col("title").str.replace(cut, ""))
    found = (
        titles.select("node", text=pl.concat_str(pl.lit(" "), text, pl.lit(" ")))
        .with_columns(word=pl.col("text").str.extract_many(patterns, overlapping=True))
        .explode("word", empty_as_null=True)
        .drop_nulls("word")
        .unique()
        .sort("node", "word")
        .with_row_index("hit")
    )
    longer = found.join(found.select("node", whole="word"), on="node").filter(
        (pl.col("whole") != pl.col("word"))
        & pl.col("whole").str.contains(pl.col("word"), literal=True)
    )
    longest = found.join(longer.select("hit").unique(), on="hit", how="anti")
    return (
        longest.with_columns(word=pl.col("word").str.strip_chars())
        .join(known.select(tail="node", word="word"), on="word")
        .select(head="node", tail="tail")
        .filter(pl.col("head") != pl.col("tail"))
        .unique()
    )
