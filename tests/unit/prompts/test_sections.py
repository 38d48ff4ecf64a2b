"""Notes cut by sections."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mini_prompts import COUNTER

from ehrlich.prompts.sections import KEPT_LONGEST, LEFT_OUT, OTHER, Note, sections_of

TEXT = (
    "## Discharge summary [2150-01-01 10:00:00]\nName: ___\n"
    "Allergies: Penicillins\n"
    "  Chief Complaint:  dyspnea\n"
    "History of Present Illness: three days of cough\n"
    "SOCIAL HISTORY: lives alone\n"
    "Physical Exam: T 37.2\n"
    "Brief Hospital Course:\nTreated for pneumonia. Chief complaint: gone.\n"
    "Discharge Medications:\n1. Aspirin 81 mg\n"
    "Followup Instructions: ___"
)


def words(texts: Sequence[str]) -> list[int]:
    """A tokenizer of words."""
    return [len(text.split()) for text in texts]


def lines_of(draw_from: Sequence[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(draw_from), max_size=12).map("\n".join)


NOTES = lines_of([
    "Brief Hospital Course: well and long and long", "MEDICATIONS ON ADMISSION:", "1. Aspirin",
    "Service: MEDICINE", "Service: SURGERY", "Major Surgical or Invasive Procedure: none", "",
    "Family History: of no concern", "Impression: clear", "no heading: here", "Findings:clear",
])  # fmt: skip


@given(NOTES | st.text())
def test_sections_joined_are_the_text_again(text: str) -> None:
    sections = sections_of(text)
    assert "".join(section.text for section in sections) == text
    assert sections[0].name == OTHER
    assert all(section.name in KEPT_LONGEST for section in sections[1:])


def test_a_section_begins_with_a_heading_at_the_start_of_a_line() -> None:
    assert [section.name for section in sections_of(TEXT)] == [
        "other", "allergies", "chief complaint", "history of present illness", "social history",
        "physical exam", "brief hospital course", "discharge medications", "followup instructions",
    ]  # fmt: skip


def test_a_text_without_headings_is_one_section() -> None:
    assert sections_of("no heading") == (sections_of("no heading")[0],)
    assert sections_of("")[0].text == ""


def test_a_note_that_fits_is_whole() -> None:
    note = Note.of(TEXT, words)
    assert note.within(10_000) == (TEXT, ())
    assert note.within(sum(note.tokens)) == (TEXT, ())


@pytest.mark.parametrize("sizes", [100, 37])
def test_what_stays_is_worth_at_least_what_goes(sizes: int) -> None:
    note = Note.of(TEXT, lambda texts: [sizes] * len(texts))
    for limit in range(sizes * 10):
        found = note.within(limit)
        if found is None:
            continue
        text, names = found
        kept = [s.name for s in note.sections[1:] if s.text.strip() in text and s.name not in names]
        worth = KEPT_LONGEST.index
        assert all(worth(k) < worth(n) for k in kept for n in names)
        assert text.startswith("## Discharge summary [2150-01-01 10:00:00]\nName: ___")


def test_sections_go_one_by_one_and_the_course_goes_last_after_the_medications() -> None:
    note = Note.of(TEXT, lambda texts: [100] * len(texts))
    order: list[str] = []
    for limit in range(1000, 0, -1):
        found = note.within(limit)
        for name in found[1] if found else ():
            if name not in order:
                order.append(name)
    assert order == [
        "followup instructions", "social history", "physical exam", "allergies", "chief complaint",
        "history of present illness", "discharge medications", "brief hospital course",
    ]  # fmt: skip


def test_a_line_says_what_was_left_out_each_name_once() -> None:
    text = "Head\nService: A\nImpression: b\nService: C\n"
    found = Note.of(text, lambda texts: [50] * len(texts)).within(150)
    assert found == ("Head\nImpression: b\n\n" + LEFT_OUT.format("service"), ("service",))


def test_even_the_first_section_may_be_too_long() -> None:
    note = Note.of(TEXT, lambda texts: [100] * len(texts))
    assert note.within(99) is None
    assert Note.of("no heading at all", words).within(3) is None
    assert Note.of("no heading at all", words).within(4) == ("no heading at all", ())


@given(NOTES, st.integers(0, 400))
def test_a_cut_note_has_at_most_its_tokens(text: str, limit: int) -> None:
    found = Note.of(text, COUNTER.count).within(limit)
    if found is not None:
        assert COUNTER.count([found[0]])[0] <= limit


def test_the_line_that_tells_is_counted_in_for_every_name() -> None:
    for name in KEPT_LONGEST:
        line = "\n\n" + LEFT_OUT.format(name)
        assert COUNTER.count([line])[0] <= 8 + 6, name
    every = "\n\n" + LEFT_OUT.format(", ".join(KEPT_LONGEST))
    assert COUNTER.count([every])[0] <= 8 + 6 * len(KEPT_LONGEST)
