"""One output as the paper's released code scores it, defects included: `scoring`'s released mode.

Only to compare with published figures. What it does otherwise than `scoring`:

- items are lower-cased, those of the answer not stripped; a blank line predicts an item; where
  a literal backslash-n stands, real newlines split nothing;
- accuracy is a case-sensitive prefix test: "not sure" is right for "no", "Yes" wrong for "yes";
- texts are compared by ROUGE-1 of stemmed ASCII words. The stemmer is Porter's (1980) with the
  extensions of the toolkit that the released code stems with.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ehrlich.base.errors import DataError

_ASCII_WORD = re.compile(r"[a-z0-9]+")


class ReleasedScore(NamedTuple):
    """Three figures of a set or a text; an accuracy stands in all three."""

    precision: float
    recall: float
    f1: float


def released_score(output: str, label: str | Sequence[str], *, metric: str) -> ReleasedScore:
    """The score by the name that a released task gives its metric.

    em, recall and f1 are the same set scores; acc and aucroc the same accuracy.
    """
    if metric in ("em", "recall", "f1"):
        return released_sets(released_items(output), label)
    text = label if isinstance(label, str) else "\n".join(label)
    if metric in ("acc", "aucroc"):
        return ReleasedScore(*[released_accuracy(output, text)] * 3)
    if metric == "rouge":
        return released_rouge_1(output, text)
    raise DataError("the released code has no such metric", got=metric)


def released_items(output: str) -> list[str]:
    """What it takes for the predicted items."""
    return [part.strip() for part in output.split(r"\n" if r"\n" in output else "\n")]


def released_sets(predicted: Iterable[str], answer: Iterable[str]) -> ReleasedScore:
    """Set scores; a label that is a string counts as the set of its characters."""
    found, wanted = ({item.lower() for item in items} for items in (predicted, answer))
    hits = len(found & wanted)
    if not hits:
        return ReleasedScore(0.0, 0.0, 0.0)
    precision, recall = hits / len(found), hits / len(wanted)
    return ReleasedScore(precision, recall, 2 * precision * recall / (precision + recall))


def released_accuracy(output: str, label: str) -> float:
    """1 where the output begins with the label."""
    return float(output.startswith(label))


def released_disease(output: str, disease: str) -> float:
    """Its accuracy of MIMIC-IV-CDM: 1 where the disease stands anywhere in the output."""
    return float(disease.lower() in output.lower())


def released_rouge_1(text: str, reference: str) -> ReleasedScore:
    """Overlap of stemmed ASCII words, each as often as it stands in both."""
    words, wanted = (
        Counter(stem(word) if len(word) > 3 else word for word in _ASCII_WORD.findall(each.lower()))
        for each in (text, reference)
    )
    if not words or not wanted:
        return ReleasedScore(0.0, 0.0, 0.0)
    hits = (words & wanted).total()
    precision, recall = hits / words.total(), hits / wanted.total()
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return ReleasedScore(precision, recall, f1)


_IRREGULAR = {
    "skies": "sky", "sky": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
    "innings": "inning", "inning": "inning", "outings": "outing", "outing": "outing",
    "cannings": "canning", "canning": "canning", "howe": "howe", "proceed": "proceed",
    "exceed": "exceed", "succeed": "succeed",
}  # fmt: skip
_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize",
    "bli": "ble", "alli": "al", "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize",
    "ation": "ate", "ator": "ate", "alism": "al", "iveness": "ive", "fulness": "ful",
    "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble", "fulli": "ful",
}  # fmt: skip
_STEP_3 = {
    "icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": "",
}  # fmt: skip
_STEP_4 = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
)  # fmt: skip


def stem(word: str) -> str:
    """The Porter stem of a lower-case word."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 2:
        return word
    for step in (_plural, _past, _final_y, _suffix_pair, _suffix, _ending, _final_e):
        word = step(word)
    return word


def _shape(word: str) -> str:
    """A letter c or v for each letter: y is a vowel after a consonant."""
    shape = ""
    for letter in word:
        vowel = letter in "aeiou" or (letter == "y" and shape.endswith("c"))
        shape += "v" if vowel else "c"
    return shape


def _measure(word: str) -> int:
    """How many vowel-consonant runs."""
    return _shape(word).count("vc")


def _short(word: str) -> bool:
    """Whether it ends consonant, vowel, consonant (no w, x, y), or is vowel, consonant."""
    shape = _shape(word)
    return shape == "vc" or (shape.endswith("cvc") and word[-1] not in "wxy")


def _doubled(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _shape(word)[-1] == "c"


def _replace(word: str, rules: dict[str, str], holds: Callable[[str], bool]) -> str:
    """The word by the first rule whose suffix it has, if the rest of the word allows."""
    for suffix, replacement in rules.items():
        if word.endswith(suffix):
            rest = word.removesuffix(suffix)
            return rest + replacement if holds(rest) else word
    return word


def _plural(word: str) -> str:
    if word.endswith("ies") and len(word) == 4:
        return word[:-1]
    return _replace(word, {"sses": "ss", "ies": "i", "ss": "ss", "s": ""}, lambda _: True)


def _past(word: str) -> str:
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    rest = next((word[: -len(end)] for end in ("ed", "ing") if word.endswith(end)), "")
    if "v" not in _shape(rest):
        return word
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if _doubled(rest):
        return rest if rest[-1] in "lsz" else rest[:-1]
    return rest + "e" if _measure(rest) == 1 and _short(rest) else rest


def _final_y(word: str) -> str:
    rest = word[:-1]
    return rest + "i" if word[-1] == "y" and len(rest) > 1 and _shape(rest)[-1] == "c" else word


def _suffix_pair(word: str) -> str:
    if word.endswith("alli") and _measure(word[:-4]) > 0:
        return _suffix_pair(word[:-2])
    if word.endswith("logi"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    return _replace(word, _STEP_2, lambda rest: _measure(rest) > 0)


def _suffix(word: str) -> str:
    return _replace(word, _STEP_3, lambda rest: _measure(rest) > 0)


def _ending(word: str) -> str:
    def holds(rest: str) -> bool:
        return _measure(rest) > 1 and (not word.endswith("ion") or rest[-1] in "st")

    return _replace(word, dict.fromkeys(_STEP_4, ""), holds)


def _final_e(word: str) -> str:
    if word.endswith("e"):
        rest = word[:-1]
        measure = _measure(rest)
        word = rest if measure > 1 or (measure == 1 and not _short(rest)) else word
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word
