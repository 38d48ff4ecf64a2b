"""Findings in notes: found by name, with what is denied, past, conditional or of relatives."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ehrlich.base.errors import DataError
from ehrlich.evidence.notes import FLAGS, Matcher, mentions_schema, read_stop_list

NAMES = [
    "chest pain", "fever", "chills", "pneumonia", "diabetes", "stroke", "cold", "cold sore",
    "hypertension", "edema", "headache", "diabetes mellitus, type 2", "right", "mi", "42",
]  # fmt: skip


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    names = pl.DataFrame({"name": NAMES}).with_columns(concept="finding//" + pl.col("name"))
    return Matcher.of(names)


def read(matcher: Matcher, *texts: str) -> pl.DataFrame:
    return matcher.mentions(pl.DataFrame({"row_id": range(len(texts)), "text": texts}))


def flagged(matcher: Matcher, text: str) -> dict[str, list[str]]:
    """Words of the text → their flags."""
    return {
        text[line["start"] : line["end"]]: [flag for flag in FLAGS if line[flag]]
        for line in read(matcher, text).to_dicts()
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Reports fever.", {"fever": []}),
        ("Denies fever, chills or chest pain.",
         {"fever": ["negated"], "chills": ["negated"], "chest pain": ["negated"]}),
        ("No fever. Chest pain today.", {"fever": ["negated"], "Chest pain": []}),
        ("No fever but has chills.", {"fever": ["negated"], "chills": []}),
        ("No fever\n- chills", {"fever": ["negated"], "chills": []}),
        ("No evidence of\npneumonia", {"pneumonia": ["negated"]}),
        ("Pneumonia was ruled out.", {"Pneumonia": ["negated"]}),
        ("Not only fever", {"fever": []}),
        ("History of stroke, now with fever", {"stroke": ["history"], "fever": []}),
        ("His mother had diabetes.", {"diabetes": ["family"]}),
        ("Evaluate for pneumonia", {"pneumonia": ["hypothetical"]}),
        ("Return if you have fever", {"fever": ["hypothetical"]}),
        ("No history of stroke", {"stroke": ["negated"]}),
    ],
)  # fmt: skip
def test_a_cue_reaches_to_the_end_of_its_sentence_or_the_next_but(
    matcher: Matcher, text: str, expected: dict[str, list[str]]
) -> None:
    assert flagged(matcher, text) == expected


def test_a_cue_reaches_only_so_many_words(matcher: Matcher) -> None:
    far = "no " + "word " * (matcher.cues.window + 1) + "fever"
    assert flagged(matcher, far) == {"fever": []}
    near = "no " + "word " * (matcher.cues.window - 1) + "fever"
    assert flagged(matcher, near) == {"fever": ["negated"]}


def test_a_section_says_so_of_all_its_lines_until_the_next_heading(matcher: Matcher) -> None:
    text = (
        "Past Medical History:\n- Hypertension\n\nFAMILY HISTORY\n\nMother: Diabetes.\n"
        "Stroke in many.\n\nPhysical Exam:\nEdema\n"
    )
    assert flagged(matcher, text) == {
        "Hypertension": ["history"], "Diabetes": ["family"], "Stroke": ["family"], "Edema": [],
    }  # fmt: skip


def test_a_section_does_not_reach_into_the_next_note(matcher: Matcher) -> None:
    found = read(matcher, "Family History: stroke", "stroke", "", "no", "fever")
    assert found.select("row_id", "family", "negated").rows() == [
        (0, True, False), (1, False, False), (4, False, False),
    ]  # fmt: skip


def test_the_longest_name_wins_and_words_are_whole(matcher: Matcher) -> None:
    text = "A cold sore, colds, coldness, headaches; diabetes mellitus, type 2."
    found = read(matcher, text)
    said = [text[a:b] for a, b in found.select("start", "end").rows()]
    assert said == ["cold sore", "headaches", "diabetes mellitus, type 2"]


def test_a_name_never_runs_over_the_end_of_a_sentence(matcher: Matcher) -> None:
    assert read(matcher, "Pain in the chest. Pain").is_empty()
    assert read(matcher, "chest  pain, chest\npain").height == 2


def test_offsets_count_characters_also_behind_letters_of_two_bytes(matcher: Matcher) -> None:
    assert flagged(matcher, "Frau Müller çéß: FEVER") == {"FEVER": []}


def test_stopped_short_and_numeric_names_are_counted_not_found(matcher: Matcher) -> None:
    assert matcher.dropped == {"in the stop list": 2, "too short": 2}
    assert read(matcher, "right, mi, 42, cold").is_empty()


def test_several_concepts_of_a_name_are_all_given() -> None:
    names = pl.DataFrame({"name": ["ms", "mscl", "mscl"], "concept": ["a", "b", "c"]})
    found = read(Matcher.of(names), "mscl")
    assert found["concept"].to_list() == ["b", "c"]


def test_only_what_is_so_of_the_patient_now_is_said(matcher: Matcher) -> None:
    notes = pl.DataFrame({"row_id": [7], "text": ["No fever. Mother had stroke. Edema. Edema."]})
    assert matcher.said_of_patient(notes).rows() == [(7, "finding//edema")]


def test_no_notes_and_no_names_give_none(matcher: Matcher) -> None:
    none = pl.DataFrame(schema={"row_id": pl.Int64, "text": pl.String})
    assert matcher.mentions(none).schema == pl.Schema(mentions_schema())
    empty = Matcher.of(pl.DataFrame(schema={"name": pl.String, "concept": pl.String}))
    assert read(empty, "No fever").is_empty()


def test_a_batch_is_read_as_its_notes_alone(
    matcher: Matcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["No fever.", "Family History: stroke\n", "chills. 1", "2 edema", "-", "History of"] * 3
    together = read(matcher, *texts)
    monkeypatch.setattr("ehrlich.evidence.notes.BATCH_CHARACTERS", 1)
    assert read(matcher, *texts).equals(together)


def test_a_stop_list_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a stop list"):
        read_stop_list(tmp_path / "none.txt")
    path = tmp_path / "mine.txt"
    path.write_text("# mine\nFever  # too common\n\n", encoding="utf-8")
    assert read_stop_list(path) == {"fever"}


def test_real_notes_are_read_and_denials_found(shared: Path, matcher: Matcher) -> None:
    path = shared / "data/notes-aci-bench/train.csv.gz"
    if not path.is_file():
        pytest.skip("no ACI-BENCH notes here")
    notes = pl.read_csv(path).with_row_index("row_id").select("row_id", text="note")
    found = matcher.mentions(notes)
    fever = found.filter(pl.col("concept") == "finding//fever")
    assert fever.height > 5
    assert 0.5 < fever["negated"].mean() < 1  # type: ignore[operator]
    texts = notes["text"].to_list()
    for line in found.head(50).to_dicts():
        said = texts[line["row_id"]][line["start"] : line["end"]].lower().split()
        assert " ".join(said).removesuffix("s") in line["concept"]


def test_names_are_judged_as_words_whatever_stands_around_them() -> None:
    names = pl.DataFrame({"name": ["[He]", "x ray", "Alcohol,", "edema,"]})
    matcher = Matcher.of(names.with_columns(concept="finding//" + pl.col("name")))
    assert matcher.dropped == {"in the stop list": 3}
    assert read(matcher, "He has edema and drinks.")["concept"].to_list() == ["finding//edema,"]
