"""Tokens of blocks: how many, and where asked for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from ehrlich.prompts.joining import SEPARATOR, Joining, is_safe_expr, joining_of
from ehrlich.prompts.tokenizers import Tokenizer, count_tokens, ids_of, load_tokenizer


@dataclass(frozen=True)
class Counter:
    """A tokenizer by name, or none ("none"): then nothing is counted."""

    tokenizer_name: str
    keep_ids: bool = False

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer."""
        return None if self.tokenizer_name == "none" else load_tokenizer(self.tokenizer_name)

    @cached_property
    def joining(self) -> Joining:
        """Where prompts may be cut for this tokenizer."""
        return Joining.EXACT if self.tokenizer is None else joining_of(self.tokenizer)

    def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each text."""
        assert self.tokenizer is not None
        return count_tokens(texts, self.tokenizer)

    def counted(self, frame: pl.DataFrame, *, blocks: bool) -> pl.DataFrame:
        """`frame` with `tokens` of its `text` and a blank line, and for blocks `ids` where kept."""
        if self.tokenizer is None:
            return frame.with_columns(tokens=pl.lit(None, dtype=pl.UInt32))
        if not (blocks and self.keep_ids and self.joining is not Joining.EXACT):
            texts = (frame["text"] + SEPARATOR).to_list()
            return frame.with_columns(tokens=pl.Series(self.count(texts), dtype=pl.UInt32))
        pieces = frame.select(self.joining.inner_expr(pl.col("text"))).to_series().to_list()
        ids = pl.Series("ids", ids_of(pieces, self.tokenizer), dtype=pl.List(pl.UInt32))
        counted = frame.with_columns(ids, tokens=ids.list.len())
        return counted.with_columns(ids=pl.when(is_safe_expr(pl.col("text"))).then("ids"))
