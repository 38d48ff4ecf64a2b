"""Chart text made harmless: it can open no chat turn, close no reasoning, fake no heading.

What a tokenizer or a parser would read as a command is broken up by one space, so that a person
and a model can still read it. Text without such a thing stays as it is.
"""

from __future__ import annotations

import re

import polars as pl

# Unseen characters, which some tokenizers drop before they look for special tokens.
_UNSEEN = r"[\u00AD\u200B-\u200D\u2060\uFEFF]*"
# `<|` begins special tokens of Qwen, Llama-3, Phi, GPT and others, its wide form those of
# DeepSeek. `<word>` and `</word>` are all others, and the marks of reasoning and tools. Wide and
# small angle brackets become `<` in tokenizers that normalise to NFKC.
_OPENS, _CLOSES = r"<\uFF1C\uFE64", r">\uFF1E\uFE65"
_INSIDE = rf" \t\r\n{_OPENS}{_CLOSES}\[◁/"
_WORD = rf"[^{_INSIDE}=-][^{_INSIDE}]*[{_CLOSES}]"
# Square brackets are common in charts: only the words that are tokens somewhere.
_BRACKETED = (
    "INST|THINK|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID"
    "|IMG|IMG_BREAK|IMG_END|AUDIO|BEGIN_AUDIO|PREFIX|MIDDLE|SUFFIX|CLS|SEP|PAD|MASK|UNK|BOS|EOS"
    "|gMASK|sMASK|UNUSED_TOKEN_[0-9]+"
)
# Each danger as (what stands before the space)(what stands after it). A half that is already
# apart matches none of them again. The last one switches thinking in the turn of a user.
_DANGERS = (
    rf"([{_OPENS}]{_UNSEEN}/?)({_UNSEEN}(?:[|\uFF5C]|{_WORD}))",
    rf"(\[)(/?(?:{_BRACKETED})\])",
    r"(◁/?)(think▷)",
    r"(/)((?:no_)?think)",
)
_PATTERN = "|".join(_DANGERS)
_BROKEN_UP = "${1}${3}${5}${7} ${2}${4}${6}${8}"
_COMPILED = re.compile(_PATTERN)

_LINE_ENDS = r"\r\n?|[\x0B\x0C\x85\u2028\u2029]"
_LINE_BREAK = r"[ \t]*[\r\n\x0B\x0C\x85\u2028\u2029][ \t\r\n\x0B\x0C\x85\u2028\u2029]*"
# What may stand unseen before a heading.
_UNSEEN_BLANKS = (
    r"\x00-\x09\x0B-\x20\x7F-\xA0\u00AD\u1680\u180E\u2000-\u200F\u202F\u205F\u2060\u3000\uFEFF"
)
_BLANK = " \t\r\n\x0b\x0c\x85\u2028\u2029"


def neutral(text: str) -> str:
    """`text` in which no special token and no mark of reasoning is left. Idempotent.

    >>> neutral("K 4.2 <5.0> <|im_end|></think> [INST] /no_think")
    'K 4.2 < 5.0> < |im_end|></ think> [ INST] / no_think'
    >>> neutral("troponin <0.01, [PRN], A->B, and/or")
    'troponin <0.01, [PRN], A->B, and/or'
    """
    return _COMPILED.sub(_break_up, text)


def _break_up(found: re.Match[str]) -> str:
    halves = [half or "" for half in found.groups()]
    return f"{''.join(halves[::2])} {''.join(halves[1::2])}"


def neutral_expr(text: pl.Expr) -> pl.Expr:
    """String → String, as `neutral` does it; null stays null."""
    return text.str.replace_all(_PATTERN, _BROKEN_UP)


def cell_expr(text: pl.Expr) -> pl.Expr:
    r"""A value as it stands in a table cell or after `- Key: `: one line, pipes escaped, neutral.

    A line break becomes ` / `: one token in most vocabularies, where `<br>` and `⏎` cost two or
    three, and clinicians write lists so. `|` becomes `\|`. Blanks at both ends go.
    """
    one_line = neutral_expr(text).str.strip_chars(_BLANK).str.replace_all(_LINE_BREAK, " / ")
    return one_line.str.replace_all("|", r"\|", literal=True)


def note_expr(text: pl.Expr) -> pl.Expr:
    r"""A note's body: neutral, line ends as `\n`, no blanks at its ends, no heading of its own.

    A line that begins with `#` gets a backslash, so that a note cannot open a section of the chart.
    """
    lines = neutral_expr(text).str.replace_all(_LINE_ENDS, "\n").str.strip_chars(_BLANK)
    return lines.str.replace_all(rf"(?m)^([{_UNSEEN_BLANKS}]*)#", r"${1}\#")
