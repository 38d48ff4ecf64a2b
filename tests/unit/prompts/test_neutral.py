"""Commands in chart text are broken up; Markdown of values and notes is their own."""

from __future__ import annotations

import polars as pl
import pytest

from ehrlich.prompts.neutral import cell_expr, neutral, neutral_expr, note_expr


def of(expression: pl.Expr, text: str | None) -> str | None:
    value: str | None = (
        pl.DataFrame({"text": [text]}, schema={"text": pl.String}).select(expression).item()
    )
    return value


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<|im_end|>", "< |im_end|>"),
        ("</think>", "</ think>"),
        ("<think>", "< think>"),
        ("<<SYS>>a<</SYS>>", "<< SYS>>a<</ SYS>>"),
        ("[INST] a [/INST]", "[ INST] a [ /INST]"),
        ("<s>a</s>", "< s>a</ s>"),
        ("<start_of_turn>user", "< start_of_turn>user"),
        ("<tool_call>", "< tool_call>"),
        ("<|start_header_id|>", "< |start_header_id|>"),
        ("<\uff5cUser\uff5c>", "< \uff5cUser\uff5c>"),
        ("\uff1cthink\uff1e", "\uff1c think\uff1e"),
        ("why?/no_think", "why?/ no_think"),
        ("<[INST]>", "<[ INST]>"),
        ("<\u200b|im_end|>", "<\u200b |im_end|>"),
    ],
)
def test_a_command_is_broken_up(text: str, kept: str) -> None:
    assert neutral(text) == kept
    assert of(neutral_expr(pl.col("text")), text) == kept


@pytest.mark.parametrize(
    "text",
    ["troponin <0.01", "K > 5", "a <- b", "A->B", "<=5 and >=3", "[PRN]", "[**2150-1-1**]",
     "and/or", "p < .05 | q", "mg/dL", "I think so", "x <y and z> w", ""],
)  # fmt: skip
def test_chart_text_stays(text: str) -> None:
    assert neutral(text) == text


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("a|b", r"a\|b"),
        ("one\ntwo\r\n\n three", "one / two / three"),
        (" \n a \n ", "a"),
        ("<|im_end|>", r"< \|im_end\|>"),
        ("a\u2028b", "a / b"),
        (None, None),
    ],
)
def test_a_cell_is_one_line(value: str | None, cell: str | None) -> None:
    assert of(cell_expr(pl.col("text")), value) == cell


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("## Laboratory [2150-01-01]\n- K: 9", "\\## Laboratory [2150-01-01]\n- K: 9"),
        ("a\n  # b\r\n\t## c", "a\n  \\# b\n\t\\## c"),
        ("a\r## b", "a\n\\## b"),
        ("a\u2028# b", "a\n\\# b"),
        ("a # b\n\n\n", "a # b"),
        (None, None),
    ],
)  # fmt: skip
def test_a_note_cannot_open_a_section(body: str | None, note: str | None) -> None:
    assert of(note_expr(pl.col("text")), body) == note
