"""Where prompts may be cut: found by probing, refused when in doubt."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.small_tokenizers import AFTER, BEFORE, EXACT, small_tokenizer

from ehrlich.base.errors import ConfigError, DataError
from ehrlich.prompts.joining import (
    SEPARATOR,
    Joining,
    ids_of_joined,
    is_safe_expr,
    joining_of,
)
from ehrlich.prompts.tokenizers import ids_of, load_tokenizer

KNOWN = [
    *((style, Joining.AFTER) for style in AFTER),
    *((style, Joining.BEFORE) for style in BEFORE),
    *((style, Joining.EXACT) for style in EXACT),
]


@pytest.mark.parametrize(("style", "joining"), KNOWN)
def test_the_cut_is_found_by_probing(style: str, joining: Joining) -> None:
    assert joining_of(small_tokenizer(style)) is joining


def test_ours_is_cut_after_the_blank_line() -> None:
    assert joining_of(load_tokenizer("chart-8k")) is Joining.AFTER


@pytest.mark.parametrize(("style", "wrong"), [("qwen2", Joining.BEFORE), ("gpt2", Joining.AFTER)])
def test_the_other_cut_is_wrong(style: str, wrong: Joining) -> None:
    tokenizer = small_tokenizer(style)
    left, right = wrong.outer("| a |", "## b")
    parts = np.concatenate(ids_of([left, right], tokenizer))
    assert not np.array_equal(parts, ids_of([left + right], tokenizer)[0])


def test_an_unsafe_end_is_one_where_the_cut_fails() -> None:
    tokenizer, block, after = small_tokenizer("gpt2"), "## a\n", "## b"
    left, right = Joining.BEFORE.outer(block, after)
    parts = np.concatenate(ids_of([left, right], tokenizer))
    assert not np.array_equal(parts, ids_of([left + right], tokenizer)[0])
    blocks = pl.DataFrame(
        {"block": [block, after, "", " a", "a\n", "| a |", "/x", "x\u200b", None]}
    )
    safe = blocks.select(is_safe_expr(pl.col("block"))).to_series().to_list()
    assert safe == [False, True, False, False, False, True, False, False, None]


@pytest.mark.parametrize("joining", [Joining.AFTER, Joining.BEFORE])
def test_pieces_make_up_the_prompt(joining: Joining) -> None:
    first, last = joining.outer("facts", "question")
    pieces = [first, *(joining.inner(block) for block in ("a", "b")), last]
    assert "".join(pieces) == SEPARATOR.join(["facts", "a", "b", "question"])
    in_frame = pl.DataFrame({"block": ["a {}"]}).select(joining.inner_expr(pl.col("block"))).item()
    assert in_frame == joining.inner("a {}")


def test_without_blocks_the_whole_is_tokenised() -> None:
    tokenizer = small_tokenizer("gpt2")
    joined = ids_of_joined("a", "b", inner=[], tokenizer=tokenizer, joining=Joining.BEFORE)
    assert np.array_equal(joined, ids_of(["a\n\nb"], tokenizer)[0])


def test_a_cut_that_is_not_exact_is_refused() -> None:
    tokenizer = small_tokenizer("gpt2")
    inner = ids_of([Joining.BEFORE.inner("## a")], tokenizer)
    with pytest.raises(DataError, match="Tokenise the whole prompt"):
        ids_of_joined("facts ", "q", inner=inner, tokenizer=tokenizer, joining=Joining.BEFORE)
    with pytest.raises(ConfigError, match="Tokenise whole prompts"):
        ids_of_joined("facts", "q", inner=inner, tokenizer=tokenizer, joining=Joining.EXACT)
