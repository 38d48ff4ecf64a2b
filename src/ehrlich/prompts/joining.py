r"""Where a prompt may be cut, so that tokens of its pieces are the tokens of the whole.

A prompt is blocks joined by a blank line, most of them tokenised long before. Byte-level BPE never
merges across the words of its pre-tokenizer, so a cut is exact where a word ends in every text:

- Qwen and Llama-3 write line breaks with what stands before them: the cut is after the blank line.
- GPT-2 leaves the last line break of several to what follows: the cut is before the blank line.
- Others (metaspace, no pre-tokenizer) may merge anything: the whole text is tokenised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from ehrlich.base.errors import ConfigError, DataError
from ehrlich.prompts.tokenizers import Ids, Tokenizer, ids_of

SEPARATOR = "\n\n"

# What stands beside a cut: blocks begin so, and end with anything that can be seen. Polars and
# Python agree on these characters.
_SAFE_BEGIN = r"[#A-Za-z0-9|\[(*-]"
_SAFE_END = r"[^\s\x00-\x1F\x7F-\x9F\u00AD\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF]"


class Joining(StrEnum):
    """On which side of the blank line between two blocks a prompt is cut, if at all."""

    AFTER = "after"
    BEFORE = "before"
    EXACT = "exact"

    def inner(self, block: str) -> str:
        """The piece that a block between others is: this text's ids may be kept."""
        if self is Joining.EXACT:
            raise ConfigError(
                "this tokenizer's tokens cannot be kept block by block",
                do="Tokenise whole prompts.",
            )
        return block + SEPARATOR if self is Joining.AFTER else SEPARATOR + block

    def inner_expr(self, block: pl.Expr) -> pl.Expr:
        """String → String: `inner` of each block."""
        return pl.format(self.inner("{}"), block)

    def outer(self, opening: str, closing: str) -> tuple[str, str]:
        """The first and the last piece, for blocks between them."""
        if self is Joining.AFTER:
            return opening + SEPARATOR, closing
        return opening, SEPARATOR + closing


def is_safe_expr(block: pl.Expr) -> pl.Expr:
    """String → Boolean: whether cuts on both sides of a block are exact (see `joining_of`).

    Unsafe: empty blocks, those with a blank at an end, those that begin with an unusual mark.
    Blocks are neutral text: no special token stands in them.
    """
    begins = block.str.head(1).str.contains(_SAFE_BEGIN)
    return begins & block.str.tail(1).str.contains(_SAFE_END)


def begins_safely(text: str) -> bool:
    """Whether a cut before this text (a block, or what closes a prompt) is exact."""
    return re.match(_SAFE_BEGIN, text) is not None


def ends_safely(text: str) -> bool:
    """Whether a cut after this text (a block, or what opens a prompt) is exact."""
    return re.match(_SAFE_END, text[-1:]) is not None


def ids_of_joined(
    opening: str, closing: str, *, inner: Sequence[Ids], tokenizer: Tokenizer, joining: Joining
) -> Ids:
    """Ids of opening, blocks and closing, joined by blank lines.

    `inner` holds the ids of `joining.inner(block)` of each block; opening and closing are texts
    (with what the chat template puts around the prompt). Blocks must be safe (`is_safe_expr`);
    DataError where the opening ends, or the closing begins, with what a cut may not stand beside.
    """
    if joining is Joining.EXACT:
        joining.inner("")  # raises
    if not inner:
        return ids_of([opening + SEPARATOR + closing], tokenizer)[0]
    if not (ends_safely(opening) and begins_safely(closing)):
        raise DataError("a prompt may not be cut here", do="Tokenise the whole prompt.")
    first, last = ids_of(joining.outer(opening, closing), tokenizer)
    return np.concatenate([first, *inner, last])


def joining_of(tokenizer: Tokenizer) -> Joining:
    """Where this tokenizer's prompts may be cut; EXACT when in doubt.

    Its parts must be ones whose cuts are understood, and every probe must agree: words of the
    pre-tokenizer and ids, for each kind of character at an end of a block.
    """
    if not _is_understood(tokenizer.backend_tokenizer):
        return Joining.EXACT
    for joining in (Joining.AFTER, Joining.BEFORE):
        if _agrees(tokenizer, joining):
            return joining
    return Joining.EXACT


def _is_understood(backend: Any) -> bool:
    """Byte-level BPE, whose splits look at characters only, without a prefix or random merges."""
    parts = json.loads(backend.to_str())
    model, before = parts["model"], parts["pre_tokenizer"] or {}
    steps = before.get("pretokenizers", [before])
    normalizer = parts["normalizer"] or {"type": "NFC"}
    normalizers = normalizer.get("normalizers", [normalizer])
    return (
        model.get("type") == "BPE"
        and not model.get("dropout")
        and {step.get("type") for step in steps} <= {"ByteLevel", "Split", "Digits"}
        and any(step.get("type") == "ByteLevel" for step in steps)
        and not any(step.get("add_prefix_space") for step in steps)
        and all(step.get("type") in ("NFC", "NFKC", "NFD", "NFKD") for step in normalizers)
    )


# One or more of each kind that a pre-tokenizer or a normaliser may treat apart.
_ENDS = (
    "a", "Z", "é", "e\u0301", "ß", "\ufb01", "中", "か", "\u0627", "\u0928\u094d", "\u01c5",
    "\u02b0", "ª", "7", "42", "150", "1234", "½", "²", "\u2167", "\u0663", "|", "||", " |", "---",
    "a.", "...", ":", ";", "!", "?", "%", "mg/dL", "/", "\\", "(a)", "]", "[x]", "}", ">", "<",
    "<|", "=", "+", "^", "~", "`", "$", "€", "µ", "°", "•", "'", "'s", "it's", "don't", "I'LL",
    "\u2019", '"', "”", "_", "___", "*", "**", "#", "##", "@", "&", "\U0001f642",
    "\U0001f469\u200d\u2695\ufe0f", "⏎", "—", "…", "a  b", "a\tb", "a\u00a0b", "a \n b",
    "a\n\n\nb", "a\r\nb", "\ufffc", "\u0378", "a\x01b",
)  # fmt: skip
_BEGINS = (
    "## Laboratory [2150-01-01 10:00:00]\n| Item |", "# a", "#", "##", "#1", "Will", "a", "it's",
    "2150", "7", "- a", "-", "--", "[x]", "(a", "| a", "|", "**a**", "*",
)  # fmt: skip


def _agrees(tokenizer: Tokenizer, joining: Joining) -> bool:
    """Whether every probe, cut this way, has the words and the ids of the whole."""
    pairs = [joining.outer(f"x {end}", begin) for end, begin in product(_ENDS, _BEGINS)]
    pairs += [joining.outer(end, begin) for end, begin in product(_ENDS, _BEGINS)]
    words = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str
    for left, right in pairs:
        whole = [word for word, _ in words(left + right)]
        if whole != [word for part in (left, right) for word, _ in words(part)]:
            return False
    texts = list(_flat(pairs))
    ids = ids_of(texts, tokenizer)
    return all(
        np.array_equal(np.concatenate([left, right]), whole)
        for left, right, whole in zip(ids[::3], ids[1::3], ids[2::3], strict=True)
    )


def _flat(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    for left, right in pairs:
        yield from (left, right, left + right)
