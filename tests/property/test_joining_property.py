"""Tokens of blocks kept apart are the tokens of the whole prompt, whatever the blocks hold."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.small_tokenizers import AFTER, BEFORE, small_tokenizer

from ehrlich.prompts.joining import (
    SEPARATOR,
    Joining,
    begins_safely,
    ends_safely,
    ids_of_joined,
    is_safe_expr,
    joining_of,
)
from ehrlich.prompts.tokenizers import Tokenizer, ids_of, load_tokenizer

# Characters that tokenizers treat apart, beside any other.
NASTY = st.sampled_from(list("#|-'s/ \n\t\r.,:0123<>*[]()\u00a0\u2028\u0301é中½²'aZ \u200b"))
BODY = st.text(st.one_of(NASTY, st.characters(exclude_categories=["Cs"])), max_size=30)
SNIPPET = st.sampled_from(
    ["## Laboratory [2150-01-01 10:00:00]\n", "| a | 4.2 |\n", "it's ", "- K: "]
)
TEXT = st.lists(st.one_of(SNIPPET, BODY), max_size=4).map("".join)
BEGIN = st.sampled_from(["## ", "#", "- ", "| ", "[", "(", "*", "W", "a", "2150", "7"])
END = st.one_of(NASTY, st.characters(exclude_categories=["Cs"])).filter(ends_safely)
BLOCK = st.tuples(BEGIN, TEXT, END).map("".join)


def tokenizers() -> list[str]:
    return ["chart-8k", *AFTER, *BEFORE]


@cache
def probed(name: str) -> tuple[Tokenizer, Joining]:
    tokenizer = load_tokenizer(name) if name == "chart-8k" else small_tokenizer(name)
    return tokenizer, joining_of(tokenizer)


@pytest.mark.parametrize("name", tokenizers())
@settings(max_examples=300)
@given(blocks=st.lists(BLOCK, max_size=4), head=BLOCK, tail=BLOCK)
def test_ids_of_blocks_are_the_ids_of_the_whole(
    name: str, blocks: list[str], head: str, tail: str
) -> None:
    opening, closing = f"<|im_start|>user\n{head}", f"{tail}<|im_end|>\n"
    frame = pl.DataFrame({"block": blocks}, schema={"block": pl.String})
    assert frame.select(is_safe_expr(pl.col("block")).all()).item()
    tokenizer, joining = probed(name)
    inner = ids_of([joining.inner(block) for block in blocks], tokenizer)
    joined = ids_of_joined(opening, closing, inner=inner, tokenizer=tokenizer, joining=joining)
    whole = ids_of([SEPARATOR.join([opening, *blocks, closing])], tokenizer)[0]
    assert np.array_equal(joined, whole)


@given(text=TEXT)
def test_a_frame_and_a_text_agree_on_what_is_safe(text: str) -> None:
    frame = pl.DataFrame({"block": [text]})
    both = begins_safely(text) and ends_safely(text)
    assert frame.select(is_safe_expr(pl.col("block"))).item() is both
