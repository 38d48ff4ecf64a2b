"""Relations and rules as files, ours and a user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ehrlich.base.errors import ConfigError
from ehrlich.evidence.relations import load_relations

DESIGNED = {
    "isa", "mapped_to", "includes", "title_mentions", "has_phenotype", "has_symptom", "caused_by",
    "causes", "treats", "palliates", "prevents", "contraindicated_for", "has_class", "has_role",
    "has_mechanism", "has_physiologic_effect", "has_chemical_class", "finding_of", "procedure_for",
    "associated_with", "due_to", "complication_of", "predisposes_to", "has_location", "measures",
    "monitored_with", "adverse_effect_of", "co_annotated_with", "increases", "decreases",
    "regulates", "correlated_with", "participates_in", "part_of",
}  # fmt: skip


def written(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_relation_that_builders_write_is_known() -> None:
    assert set(load_relations().relations) == DESIGNED


def test_the_linker_s_relations_and_what_misleads_are_not_for_paths() -> None:
    unused = {name for name, one in load_relations().relations.items() if not one.in_paths}
    assert unused == {
        "mapped_to", "includes", "title_mentions", "contraindicated_for", "has_location",
        "co_annotated_with",
    }  # fmt: skip


def test_a_user_s_file_adds_and_replaces(tmp_path: Path) -> None:
    own = load_relations(
        written(
            tmp_path,
            "relations:\n"
            "  may_treat: {says: may treat, says_back: may be treated by, in_paths: true}\n"
            "  has_role: {says: acts as, says_back: is done by}\n"
            "max_inner_degree: 7\n"
            "forbidden: []\n",
        )
    )
    ours = load_relations()
    assert own.relations["may_treat"].in_paths
    assert own.relations["has_role"].says == "acts as"
    assert own.relations["treats"] == ours.relations["treats"]
    assert (own.max_inner_degree, own.forbidden) == (7, ())
    assert own.not_inner_kinds == ours.not_inner_kinds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("relations:\n  x: {says: a, say_back: b}\n", "line 2.*Did you mean 'says_back'"),
        ("relations:\n  x: {says: a, says_back: b, rank: 0}\n", "rank"),
        (
            "forbidden:\n- why: no reason\n  first: {relations: [trets], walked: back}\n"
            "  then: {relations: [treats], walked: forward}\n",
            "unknown relation trets",
        ),
        ("forbidden:\n- why: a\n  first: {relations: [isa], walked: up}\n", "walked"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_relations(written(tmp_path, text))
