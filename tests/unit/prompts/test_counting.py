"""Tokens of blocks."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.mini_prompts import COUNTER

from ehrlich.base.errors import ConfigError
from ehrlich.prompts.counting import Counter
from ehrlich.prompts.joining import Joining, ids_of_joined
from ehrlich.prompts.tokenizers import count_tokens, ids_of

TEXTS = [
    "## Laboratory [2150-01-01 10:00:00]\n- Test: Sodium\n- Value: 141 mEq/L",
    "## Radiology report [2150-01-01 11:00:00]\n- Exam: CHEST\n\nFINDINGS: clear.",
    "## Discharge [2150-01-01 12:00:00]",
]
FRAME = pl.DataFrame({"text": TEXTS})


def test_without_a_tokenizer_nothing_is_counted() -> None:
    found = Counter("none").counted(FRAME, blocks=True)
    assert found["tokens"].is_null().all()
    assert found["tokens"].dtype == pl.UInt32
    assert "ids" not in found.columns
    assert Counter("none").joining is Joining.EXACT


def test_a_text_is_counted_with_the_blank_line_after_it() -> None:
    tokenizer = COUNTER.tokenizer
    assert tokenizer is not None
    found = COUNTER.counted(FRAME, blocks=True)
    assert found["tokens"].to_list() == count_tokens([text + "\n\n" for text in TEXTS], tokenizer)
    assert "ids" not in found.columns
    assert COUNTER.count(TEXTS) == count_tokens(TEXTS, tokenizer)


def test_ids_are_kept_of_blocks_only_and_joined_are_those_of_the_whole() -> None:
    counter = Counter("chart-8k", keep_ids=True)
    assert counter.tokenizer is not None
    assert "ids" not in counter.counted(FRAME, blocks=False).columns
    found = counter.counted(FRAME, blocks=True)
    assert found["tokens"].to_list() == found["ids"].list.len().to_list()
    inner = [np.array(ids, dtype=np.uint32) for ids in found["ids"].to_list()]
    joined = ids_of_joined(
        "# Patient",
        "Which tests?",
        inner=inner,
        tokenizer=counter.tokenizer,
        joining=counter.joining,
    )
    (whole,) = ids_of(["\n\n".join(["# Patient", *TEXTS, "Which tests?"])], counter.tokenizer)
    assert np.array_equal(joined, whole)


def test_ids_of_a_block_that_may_not_stand_beside_a_cut_are_not_kept() -> None:
    frame = pl.DataFrame({"text": [*TEXTS, "## ICUstays [2150-01-01 10:00:00]\n", ""]})
    found = Counter("chart-8k", keep_ids=True).counted(frame, blocks=True)
    assert found["ids"].is_null().to_list() == [False, False, False, True, True]
    assert found["tokens"].is_not_null().all()


def test_counting_an_empty_frame() -> None:
    for counter in (COUNTER, Counter("none"), Counter("chart-8k", keep_ids=True)):
        found = counter.counted(FRAME.clear(), blocks=True)
        assert found.is_empty()
        assert found["tokens"].dtype == pl.UInt32


def test_an_unknown_tokenizer_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such tokenizer"):
        Counter("no-such").counted(FRAME, blocks=True)
