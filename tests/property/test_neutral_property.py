"""No chart text becomes a command, whatever stands in it and whatever reads it."""

from __future__ import annotations

from functools import cache

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.small_tokenizers import COMMANDS, small_tokenizer

from ehrlich.prompts.neutral import cell_expr, neutral, neutral_expr, note_expr
from ehrlich.prompts.tokenizers import Tokenizer, ids_of, load_tokenizer, special_ids

PIECES = st.sampled_from(
    [*COMMANDS, "<", "<<", ">", "|", "/", "</", "<|", "[", "]", " ", "\n", "#", "## ", "\\", "=",
     "-", "\u200b", "\uff1c", "\uff5c", "/think", "/no_think", "think>", "im_end|>", "Na", "5",
     "<0.1", "\r\n"]
)  # fmt: skip
TEXT = st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=12).map("".join)
HARMLESS = st.text(st.characters(exclude_characters="<\uff1c﹤[/◁", exclude_categories=["Cs"]))


@cache
def tokenizers() -> list[Tokenizer]:
    return [load_tokenizer("chart-8k"), small_tokenizer("qwen2"), small_tokenizer("gpt2")]


def in_polars(expression: pl.Expr, text: str) -> str:
    return str(pl.DataFrame({"text": [text]}).select(expression).item())


@settings(max_examples=400)
@given(text=TEXT)
def test_no_added_token_survives(text: str) -> None:
    variants = [
        neutral(text),
        *(in_polars(f(pl.col("text")), text) for f in (cell_expr, note_expr)),
    ]
    for tokenizer in tokenizers():
        for ids in ids_of(variants, tokenizer):
            assert not special_ids(tokenizer) & set(ids.tolist())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_a_token_until_it_is_neutral(command: str) -> None:
    tokenizer: Tokenizer = small_tokenizer("qwen2")
    before, after = ids_of([f"a {command} b", f"a {neutral(command)} b"], tokenizer)
    assert special_ids(tokenizer) & set(before.tolist())
    assert not special_ids(tokenizer) & set(after.tolist())


@given(text=TEXT)
def test_marks_of_reasoning_are_seen_by_no_parser(text: str) -> None:
    kept = neutral(text)
    assert not any(mark in kept for mark in ("<think>", "</think>", "/think", "/no_think"))


@settings(max_examples=400)
@given(text=TEXT)
def test_it_is_idempotent_and_only_adds_spaces(text: str) -> None:
    once = neutral(text)
    assert neutral(once) == once
    assert once.replace(" ", "") == text.replace(" ", "")


@given(text=TEXT)
def test_a_frame_and_a_text_are_treated_alike(text: str) -> None:
    assert in_polars(neutral_expr(pl.col("text")), text) == neutral(text)


@given(text=HARMLESS)
def test_harmless_text_stays(text: str) -> None:
    assert neutral(text) == text


@given(text=TEXT)
def test_a_cell_is_one_line_without_a_bare_pipe(text: str) -> None:
    cell = in_polars(cell_expr(pl.col("text")), text)
    assert not set(cell) & set("\n\r\v\f\x85\u2028\u2029")
    assert "|" not in cell.replace(r"\|", "")


@given(text=TEXT)
def test_no_line_of_a_note_is_a_heading(text: str) -> None:
    note = in_polars(note_expr(pl.col("text")), text)
    assert not any(line.lstrip().startswith("#") for line in note.split("\n"))
