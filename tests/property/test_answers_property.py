"""The parser on any text, and on gold answers in every dress."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ehrlich.cohorts.answers import (
    Answer,
    AnswerStatus,
    Generation,
    YesNo,
    known_items,
    normalise,
    parse_frame,
    parse_items,
    parse_text,
    parse_yes_no,
)

PIECES = st.sampled_from(
    [
        "<think>", "</think>", "<answer>", "</answer>", "```", "**", "*", "_", "`", "-", "\u2022",
        "1.", "(2)", "a.", "Answer:", "Final", "no", "yes", "and", ",", ";", "/", "'", "\u2019",
        "\\boxed{", "}", "#", "\\n", "<|im_end|>", "Sodium", "sorry", "I", "cannot", ":", ".", "\n",
    ]
)  # fmt: skip
TEXT = st.text() | st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES).map("".join)
GENERATION = st.builds(Generation, st.none() | st.text(), st.booleans(), st.booleans())
ODD = (
    "0.9% Sodium Chloride", "*NF* Ertapenem Sodium", "C. difficile PCR", "Heparin, porcine",
    "24 hr Creatinine", "Sodium Chloride 0.9%  Flush", '"Ventilation" pneumonitis', "Soln.",
)  # fmt: skip
WORD = st.text("bcdfghkmpqtvwz", min_size=2, max_size=8)
NAME = st.sampled_from(ODD) | st.lists(WORD, min_size=1, max_size=3).map(" ".join)
NAMES = st.lists(NAME, min_size=1, max_size=6, unique=True)
ANY_NAME = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="<\\|\x85\u2028\u2029"),
    min_size=1, max_size=12,
).filter(lambda name: any(map(str.isalnum, name)))  # fmt: skip
DRESSES = st.sampled_from(
    [
        "{}",
        "- {}",
        "* {}",
        "{i}. {}",
        "{i}) {}",
        "({i}) {}",
        "\u2022 {}",
        "**{}**",
        "- **{}**",
        "`{}`",
    ]
)
FRAMES = st.sampled_from(
    ["{}", "<think>yes\n- no</think>\n\n{}", "Well.\n\nFinal Results:\n{}", "```\n{}\n```",
     "reasoning\n</think>**Answer:**\n{}", "<answer>{}</answer>", "\n\n{}<|im_end|>\n"]
)  # fmt: skip


def dressed(names: list[str], dress: str, frame: str) -> str:
    lines = (dress.format(name, i=place) for place, name in enumerate(names, 1))
    return frame.format("\n".join(lines))


@given(text=TEXT, generation=GENERATION, known=st.frozensets(st.text(max_size=3)))
def test_any_text_has_a_status(text: str, generation: Generation, known: frozenset[str]) -> None:
    for answer in (parse_items(text, generation, known=known), parse_text(text, generation)):
        assert isinstance(answer, Answer)
        assert (answer.status == AnswerStatus.OK) <= bool(answer.items)
        assert all(item.strip() == item and item for item in answer.items)
        if generation.at_limit:
            assert answer.status in (AnswerStatus.OVERLONG, AnswerStatus.REFUSED)
    read = parse_yes_no(text, generation)
    assert isinstance(read, YesNo)
    assert (read.status == AnswerStatus.OK) == (read.answer is not None)


@given(text=TEXT, after=TEXT)
def test_an_open_think_block_is_no_answer(text: str, after: str) -> None:
    after = after.replace("</think", "")
    for parse in (parse_items, parse_yes_no, parse_text):
        assert parse(f"{text}<think>{after}").status == AnswerStatus.UNPARSED
    assert parse_yes_no(f"{text}<think>{after}", Generation(at_limit=True)).status == "overlong"


@given(names=NAMES, dress=DRESSES, frame=FRAMES)
def test_a_gold_answer_is_read_back(names: list[str], dress: str, frame: str) -> None:
    answer = parse_items(dressed(names, dress, frame))
    assert answer.status == AnswerStatus.OK
    assert list(answer.items) == names


@given(names=st.lists(ANY_NAME, min_size=1, max_size=4))
def test_any_known_name_is_read_back(names: list[str]) -> None:
    # Headings and fences rule the lines around them, so no name may be one.
    names = [f"x{name}x" for name in names]
    answer = parse_items("\n".join(names), known=known_items(names))
    assert list(map(normalise, answer.items)) == list(map(normalise, names))


@given(
    word=st.sampled_from(["yes", "no"]), dress=DRESSES, frame=FRAMES, end=st.sampled_from(".!, \n")
)
def test_yes_and_no_are_read_back(word: str, dress: str, frame: str, end: str) -> None:
    for spelt in (word, word.upper(), word.title()):
        text = dressed([spelt + end.strip()], dress, frame)
        assert parse_yes_no(text).answer == (word == "yes"), text


@given(start=st.sampled_from(["yes", "no", "Yes", "NO"]), more=st.text("abcdefgst", min_size=1))
def test_a_prefix_is_no_word(start: str, more: str) -> None:
    assert parse_yes_no(start + more).answer is None


@given(rows=st.lists(st.tuples(st.none() | TEXT, st.sampled_from(["stop", "length", None]))))
def test_a_frame_is_its_rows(rows: list[tuple[str | None, str | None]]) -> None:
    columns = {"output": pl.String, "finish_reason": pl.String}
    read = parse_frame(pl.DataFrame(rows, schema=columns, orient="row"), "items")
    alone = [parse_items(text or "", Generation(None, end == "length")) for text, end in rows]
    assert read["items"].to_list() == [list(answer.items) for answer in alone]
    assert read["status"].to_list() == [answer.status.value for answer in alone]
