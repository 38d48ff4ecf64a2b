"""What a model answered, read from its text: items, yes or no, or a text; with a status.

The one parser: rewards, benchmark and report read outputs through it, and `scoring` scores what
it found. It is total: any text gives an answer or a status that says why there is none.

What is read as an answer:

- Reasoning goes first: all up to the last `</think>`. A block that never closes is a failed
  generation, whatever stands in it.
- Then the last of: an `<answer>` element, the part after the last heading such as "Final
  Results:" or "Answer:", a closed code fence.
- Items stand one on a line; commas belong to names. List marks and markdown around them are
  dropped, and where two or more lines carry a mark, lines without one are prose. Letters
  (a. b. c.) are marks only as a sequence, so that "C. difficile PCR" stays whole.
- Yes or no must stand alone or open a sentence: "note", "no idea" and "yes and no" are neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import polars as pl

Kind = Literal["items", "yes_no", "text"]


class AnswerStatus(StrEnum):
    """What became of an output; only `ok` is scored."""

    OK = "ok"
    UNPARSED = "unparsed"
    OVERLONG = "overlong"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """Items in the order and spelling of the output, repeats kept.

    An overlong answer keeps the items before the cut, for reading, not for scoring.
    """

    status: AnswerStatus
    items: tuple[str, ...] = ()
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class YesNo:
    """`answer` is None where the status is not `ok`."""

    status: AnswerStatus
    answer: bool | None = None
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """What is known about an output beside its text.

    - reasoning: as a server hands it over apart from the content.
    - at_limit: generation stopped at the length limit.
    - think_opened: the prompt's template opened the think block, so the output must close it.
    """

    reasoning: str | None = None
    at_limit: bool = False
    think_opened: bool = False


PLAIN: Final = Generation()

_THINK_OPEN = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THINK_CLOSE = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_TURN_TOKEN = re.compile(r"<\|[A-Za-z_]{1,30}\|>|</s>")
_ANSWER_OPEN = re.compile(r"<answer>", re.IGNORECASE)
_ANSWER_CLOSE = re.compile(r"</answer>", re.IGNORECASE)
_BOXED = re.compile(r"\\(?:boxed|text)\{([^{}\n]*)\}")
_NEWLINE = re.compile(r"\r\n|\r|\n|\\n")
_FENCE = re.compile(r"\s*(?:```|~~~)[\w-]*\s*$")

_NOUN = r"(?:answers?|results?|predictions?|outputs?)"
_HEADING = re.compile(
    r"[\s*_`#>]*(?:(?:so|thus|therefore|hence),?\s+)?(?:(?:my|the|our)\s+)?(?:final\s+)?"
    rf"(?:{_NOUN}(?:\s?\([^()]*\))?[*_`]*(?:\s(?:is|are))?\s?:|(?:answer|prediction)\sis\s)"
    r"[*_`]*(?P<rest>.*)$",
    re.IGNORECASE,
)
_BARE_HEADING = re.compile(
    rf"[\s*_]*(?:#+[\s*_]*(?:final\s)?|final\s){_NOUN}[\s*_#]*$", re.IGNORECASE
)

_BULLET = re.compile(r"\s*(?:[-*+]\s+|[\u2022\u2013\u2014\u2023\u25e6\u25aa\xb7]\s*)(?=\S)")
_NUMBER = re.compile(r"\s*(?:\(\d{1,3}\)\s*|\d{1,3}[.)]\s+|\d{1,2}\.(?=[^\W\d]))(?=\S)")
_LETTER = re.compile(r"\s*\(?([A-Za-z])[.)]\s+(?=\S)")
_WRAPS = (
    ("**", "**"),
    ("__", "__"),
    ("*", "*"),
    ("_", "_"),
    ("`", "`"),
    ('"', '"'),
    ("\u201c", "\u201d"),
)
_BOLD = re.compile(r"\*\*([^*]+)\*\*")

_REFUSAL = re.compile(
    r"[\s*_>\"]*(?:i(?:'m| am) (?:very |so |truly )?sorry\b|sorry\b|(?:i|we) apologi[sz]e\b"
    r"|(?:unfortunately,? )?(?:i|we) (?:can ?not|can't|could not|couldn't|will not|won't"
    r"|must decline|decline)\b"
    r"|(?:unfortunately,? )?(?:i(?:'m| am)|we(?:'re| are)) (?:unable|not able|not allowed) to\b"
    r"|as an? (?:ai|artificial|large language|language)\b)",
    re.IGNORECASE,
)

_SAID = re.compile(r"[\W_]*(yes|no)(?![\w'])", re.IGNORECASE)
_ALONE = re.compile(r"[\W_]*(yes|no)[\W_]*$", re.IGNORECASE)
_GOES_ON = re.compile(r"[*_`\"')\]]*+(?:$|\s*[^\w\s/|'-]|\s*\n|\s*-+\s|\s+(?:as|because|due|given"
                      r"|since|and|or|but)\b)", re.IGNORECASE)  # fmt: skip
_HEDGE = re.compile(r"[\W_]*(?:(?:and|or|but|maybe|also|then)\b[\W_]*)*(yes|no)(?![\w'])", re.I)
_INLINE = re.compile(r"\banswer\s*(?:is|:|=|would be)", re.IGNORECASE)


def normalise(item: str) -> str:
    """The item as scores compare it: lower-cased, stripped, inner white space one blank.

    The last, because records hold "Urine  Creatinine" beside "Urine Creatinine".
    """
    return " ".join(item.lower().split())


def known_items(names: Iterable[str]) -> frozenset[str]:
    """Names that may be answers, as `parse_items` takes them."""
    return frozenset(map(normalise, names)) - {""}


def parse_items(
    text: str, generation: Generation = PLAIN, *, known: frozenset[str] = frozenset()
) -> Answer:
    """The items of an answer.

    `known` (from `known_items`) only settles doubts: a line that is a known name is never
    altered, and a single line of known names between commas or semicolons is split.
    """
    visible, reasoning = split_reasoning(text, generation)
    if visible is None:
        return Answer(_without_answer(generation), (), reasoning)
    lines = _answer_lines(visible)
    if _refuses(lines):
        return Answer(AnswerStatus.REFUSED, (), reasoning)
    items = tuple(_items(lines, known))
    if generation.at_limit:
        return Answer(AnswerStatus.OVERLONG, items, reasoning)
    return Answer(AnswerStatus.OK if items else AnswerStatus.UNPARSED, items, reasoning)


def parse_yes_no(text: str, generation: Generation = PLAIN) -> YesNo:
    """Yes or no. One that was read is `ok` at the length limit too: one token may be the limit."""
    visible, reasoning = split_reasoning(text, generation)
    if visible is None:
        return YesNo(_without_answer(generation), None, reasoning)
    lines = _answer_lines(visible)
    if _refuses(lines):
        return YesNo(AnswerStatus.REFUSED, None, reasoning)
    answer = _yes_no(lines)
    status = _without_answer(generation) if answer is None else AnswerStatus.OK
    return YesNo(status, answer, reasoning)


def parse_text(text: str, generation: Generation = PLAIN) -> Answer:
    """A text (a discharge note) as the only item: all after the reasoning, headings included."""
    visible, reasoning = split_reasoning(text, generation)
    if visible is None:
        return Answer(_without_answer(generation), (), reasoning)
    visible = visible.strip()
    if _refuses(visible.splitlines()):
        return Answer(AnswerStatus.REFUSED, (), reasoning)
    items = (visible,) if visible else ()
    if generation.at_limit:
        return Answer(AnswerStatus.OVERLONG, items, reasoning)
    return Answer(AnswerStatus.OK if items else AnswerStatus.UNPARSED, items, reasoning)


def split_reasoning(text: str, generation: Generation = PLAIN) -> tuple[str | None, str | None]:
    """What follows the reasoning, None where a think block never closes; and the reasoning."""
    text = _TURN_TOKEN.sub("", text)
    closes = list(_THINK_CLOSE.finditer(text))
    end = closes[-1].end() if closes else 0
    thought = text[: closes[-1].start()] if closes else ""
    left_open = _THINK_OPEN.search(text, end)
    visible: str | None = text[end:]
    if left_open or (generation.think_opened and not closes):
        visible, thought = None, text
    parts = (generation.reasoning or "", _THINK_OPEN.sub("", _THINK_CLOSE.sub("", thought)))
    return visible, "\n".join(part.strip() for part in parts if part.strip()) or None


def parse_frame(
    outputs: pl.DataFrame, kind: Kind, *, known: frozenset[str] = frozenset()
) -> pl.DataFrame:
    """The frame with each output parsed; all its columns stay.

    In: case_id, output str; optional reasoning str, finish_reason str ("length" = at the limit),
    status str (rows at "error" stay so: no answer was given). Out, added or replaced: status str,
    items list[str] (null for `yes_no`), answer bool (null but for `yes_no`), reasoning str.
    """
    # A loop over outputs: reading free text is Python work, some tens of microseconds each.
    blank = [None] * outputs.height
    columns = (
        outputs[name].to_list() if name in outputs.columns else blank
        for name in ("output", "reasoning", "finish_reason", "status")
    )  # fmt: skip
    parse = _parser(kind, known)
    rows = [
        ("error", None, None, reasoning) if status == "error"
        else parse(output or "", Generation(reasoning, finish == "length"))
        for output, reasoning, finish, status in zip(*columns, strict=True)
    ]  # fmt: skip
    schema = {
        "status": pl.String(), "items": pl.List(pl.String()),
        "answer": pl.Boolean(), "reasoning": pl.String(),
    }  # fmt: skip
    return outputs.with_columns(pl.DataFrame(rows, schema=schema, orient="row"))


_Row = tuple[str, list[str] | None, bool | None, str | None]


def _parser(kind: Kind, known: frozenset[str]) -> Callable[[str, Generation], _Row]:
    """The parser of a kind, as a row of `parse_frame`."""

    def yes_no(text: str, generation: Generation) -> _Row:
        read = parse_yes_no(text, generation)
        return str(read.status), None, read.answer, read.reasoning

    def others(text: str, generation: Generation) -> _Row:
        if kind == "text":
            read = parse_text(text, generation)
        else:
            read = parse_items(text, generation, known=known)
        return str(read.status), list(read.items), None, read.reasoning

    return yes_no if kind == "yes_no" else others


def _without_answer(generation: Generation) -> AnswerStatus:
    return AnswerStatus.OVERLONG if generation.at_limit else AnswerStatus.UNPARSED


def _answer_lines(visible: str) -> list[str]:
    """The lines that hold the answer: after headings, inside fences, none blank."""
    opened = list(_ANSWER_OPEN.finditer(visible))
    if opened:
        visible = _ANSWER_CLOSE.split(visible[opened[-1].end() :])[0]
    for _ in range(2):  # \boxed{\text{yes}}
        visible = _BOXED.sub(r"\1", visible)
    lines = _after_heading(_NEWLINE.split(visible))
    fences = [at for at, line in enumerate(lines) if _FENCE.match(line)]
    for start, end in reversed(list(zip(fences[::2], fences[1::2], strict=False))):
        if any(line.strip() for line in lines[start + 1 : end]):
            lines = lines[start + 1 : end]
            break
    return [line.strip() for line in lines if line.strip() and not _FENCE.match(line)]


def _after_heading(lines: list[str]) -> list[str]:
    for at in range(len(lines) - 1, -1, -1):
        if _BARE_HEADING.match(lines[at]):
            return lines[at + 1 :]
        if found := _HEADING.match(lines[at]):
            rest = found["rest"]
            # The mark that closes "**Answer: yes**" has lost the one that opened it.
            return [rest.replace("**", "") if rest.count("**") % 2 else rest, *lines[at + 1 :]]
    return lines


def _refuses(lines: list[str]) -> bool:
    """Whether the answer as a whole is a refusal: no list follows the excuse."""
    if not lines or not _REFUSAL.match(lines[0].replace("\u2019", "'")):
        return False
    return sum(_mark_end(line) > 0 for line in lines) < 2


def _mark_end(line: str) -> int:
    """Where the text of a line begins after its bullet or number; 0 where it has none."""
    end = 0
    for pattern in (_BULLET, _NUMBER):
        if found := pattern.match(line, end):
            end = found.end()
    return end


def _items(lines: list[str], known: frozenset[str]) -> list[str]:
    named = [normalise(line) in known for line in lines]
    if len(lines) == 1 and not named[0] and (parts := _known_parts(lines[0], known)):
        return parts
    ends = [0 if is_name else _mark_end(line) for line, is_name in zip(lines, named, strict=True)]
    if not any(ends):
        ends = _letter_ends(lines)
    listed = sum(end > 0 for end in ends) >= 2
    separator = _line_separator(lines)
    items = []
    for line, end, is_name in zip(lines, ends, named, strict=True):
        introduces = line.rstrip("*_ ").endswith(":") and len(lines) > 1
        if not is_name and ((listed and not end) or introduces):
            continue
        items.append(line if is_name else _name(line[end:].removesuffix(separator), known))
    return [item for item in items if any(map(str.isalnum, item))]


def _letter_ends(lines: list[str]) -> list[int]:
    """Ends of letter marks, where they run a, b, c from the first; else zeros."""
    found = [_LETTER.match(line) for line in lines]
    letters = "".join(mark[1] for mark in found if mark)
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    if len(letters) < 2 or not alphabet.startswith(letters.lower()):
        return [0] * len(lines)
    return [mark.end() if mark else 0 for mark in found]


def _line_separator(lines: list[str]) -> str:
    """A comma or semicolon that ends every line but the last, on two lines at least."""
    first = lines[0][-1] if lines else ""
    ends = [line.endswith(first) for line in lines[:-1]]
    return first if first in (",", ";") and len(ends) >= 2 and all(ends) else ""


def _name(text: str, known: frozenset[str]) -> str:
    """A line's item without the markdown around it."""
    name = text.strip()
    if normalise(name) in known:
        return name
    for opening, closing in _WRAPS:
        inner = name[len(opening) : -len(closing)]
        wrapped = name.startswith(opening) and name.endswith(closing)
        if wrapped and inner.strip() and opening not in inner and closing not in inner:
            name = inner.strip()
    name = _BOLD.sub(r"\1", name).strip()
    bare = name.rstrip(".,;").rstrip()
    return bare if normalise(bare) in known else name


def _known_parts(line: str, known: frozenset[str]) -> list[str]:
    """The parts of a single line if all are known names, else nothing."""
    for separator in (";", ","):
        spelt = (re.sub(r"^\s*and\s", "", part) for part in line.split(separator))
        parts = [_name(part, known) for part in spelt if any(map(str.isalnum, part))]
        if len(parts) > 1 and all(normalise(part) in known for part in parts):
            return parts
    return []


def _yes_no(lines: list[str]) -> bool | None:
    """What the lines say, None where nothing or both."""
    lines = [line[_mark_end(line) :] for line in lines]
    text = "\n".join(lines).replace("\u2019", "'")
    said = _first_words(text)
    if lines and (last := _ALONE.match(lines[-1])):
        said = said | {last[1].lower()}
    if not said and (inline := list(_INLINE.finditer(text))):
        said = _first_words(text[inline[-1].end() :])
    return said == {"yes"} if len(said) == 1 else None


def _first_words(text: str) -> set[str]:
    """The yes or no that opens the text and stands alone; both where the next takes it back."""
    found = _SAID.match(text)
    if not found:
        return set()
    word, rest = found[1].lower(), text[found.end() :]
    if re.match(r"[*_`\"')\]]*(?:[/|]|-\w)", rest) or (word == "no" and not _GOES_ON.match(rest)):
        return set()
    other = _HEDGE.match(rest)
    if other and (other[1].lower() == "yes" or _GOES_ON.match(rest, other.end())):
        return {word, other[1].lower()}
    return {word}
