"""How far a written text overlaps with the recorded one: ROUGE-L, for `scoring`.

A few lines of counting; the usual package would bring a language toolkit for them.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")


def rouge_l(text: str, reference: str) -> float:
    """F of the longest common subsequence of words: lower-cased, not stemmed, any script.

    0 where either has no word. For ASCII texts it equals the usual package's rougeL.
    """
    words, wanted = (_WORD.findall(each.lower()) for each in (text, reference))
    if not words or not wanted:
        return 0.0
    return 2 * common_subsequence(words, wanted) / (len(words) + len(wanted))


def common_subsequence(left: list[str], right: list[str]) -> int:
    """Length of the longest common subsequence.

    Bit-parallel (Hyyro 2004): a row of the usual table is one integer, a zero bit a step up, so
    notes of some thousand words take milliseconds.
    """
    at: dict[str, int] = {}
    for place, word in enumerate(left):
        at[word] = at.get(word, 0) | 1 << place
    full = (1 << len(left)) - 1
    row = full
    for word in right:
        matches = row & at.get(word, 0)
        row = ((row + matches) | (row - matches)) & full
    return len(left) - row.bit_count()
