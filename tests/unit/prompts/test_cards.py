"""The card of an export says whose terms it stands under, what is in it, and how it was made."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, DataError
from ehrlich.base.store import Manifest
from ehrlich.prompts.cards import CARD, TERMS, Card, card_counts, card_text, write_card


def manifest(use: DataUse = DataUse.SYNTHETIC) -> Manifest:
    return Manifest(
        "prompts", use, {"style": "ehrlich"}, seed=3, inputs={"cases": "a|b"},
        versions={"ehrlich": "0.1.0", "polars": "2.1.0"},
    )  # fmt: skip


def rows() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "task": ["omr"] * 3 + ["icu_stay_7d"] * 5,
            "split": ["train", "train", "held_out"] + ["train"] * 4 + ["tuning"],
            "boolean_value": [None] * 3 + [True, False, False, True, False],
            "cut": [True, False, False] + [False] * 5,
        }
    )


def card(**changed: Any) -> Card:
    made = Card(
        suite="EHR-Bench", counts=card_counts(rows()), command="ehrlich prompts cases --out here"
    )  # fmt: skip
    return replace(made, **changed)


def header(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_counts_by_task_and_split() -> None:
    assert card_counts(rows()).rows() == [
        ("icu_stay_7d", "train", 4, 2, 0), ("icu_stay_7d", "tuning", 1, 0, 0),
        ("omr", "held_out", 1, None, 0), ("omr", "train", 2, None, 1),
    ]  # fmt: skip
    bare = card_counts(rows().select("task", "split"))
    assert bare.columns == card_counts(rows()).columns
    assert bare["yes"].null_count() == bare["cut"].null_count() == 4


def test_the_table_gives_splits_in_order_and_shares() -> None:
    text = card_text(card(), manifest())
    assert "| task | train | tuning | held_out | yes | cut |" in text
    assert "| icu_stay_7d | 4 | 1 | 0 | 40.0% | 0.0% |" in text
    assert "| omr | 2 | 0 | 1 |  | 33.3% |" in text


def test_a_split_that_is_not_known_has_a_column_of_its_own() -> None:
    counts = card_counts(rows().with_columns(split=pl.lit("unknown")))
    assert "| task | unknown | yes | cut |" in card_text(card(counts=counts), manifest())


@pytest.mark.parametrize("use", list(DataUse))
def test_every_tag_has_terms_and_its_header(use: DataUse) -> None:
    text = card_text(card(), manifest(use))
    assert f"Data use: `{use}`. {TERMS[use].sentence}" in text
    guarded = use in (DataUse.CREDENTIALED, DataUse.PHI)
    assert ("Do not upload this folder" in text) is guarded
    assert TERMS[use].may_be_shared is not guarded
    top = header(text)
    assert f"data-use-{use}" in top["tags"]
    assert (top["license"], top["license_name"]) == ("other", TERMS[use].licence_name)
    assert ("extra_gated_prompt" in top) is guarded
    assert "For research only" in text


def test_credentialed_rows_name_their_agreement_and_the_source_its_licence() -> None:
    text = card_text(card(source_licence="ODbL 1.0"), manifest(DataUse.CREDENTIALED))
    assert "PhysioNet Credentialed Health Data Use Agreement" in text
    assert "Licence of the source: ODbL 1.0" in text
    assert "unless asked for" not in text
    assert "here they do" in card_text(card(has_ids=True), manifest(DataUse.PHI))
    assert "Licence of the source" not in card_text(card(), manifest())


@pytest.mark.parametrize(
    ("mode", "words"),
    [("none", "without a list"), ("frequent", "looks at no answer"), ("oracle", "Oracle lists")],
)
def test_the_card_says_what_candidate_lists_are(mode: Any, words: str) -> None:
    text = card_text(card(candidates=mode), manifest())
    assert words in text
    assert f"| candidates | {mode} |" in text
    assert ("oracle-candidates" in header(text)["tags"]) is (mode == "oracle")


def test_how_prompts_are_made_and_what_is_not_done() -> None:
    text = card_text(
        card(
            tokenizer="Qwen/Qwen3-8B", max_tokens=8192, chat_policy="qwen3", style="compat",
            wording="released", limits=("No chains.",),
        ),
        manifest(),
    )  # fmt: skip
    for line in ("| style | compat |", "| tokenizer | Qwen/Qwen3-8B |", "| token budget | 8,192 |",
                 "| chat policy | qwen3 |", "- No chains."):  # fmt: skip
        assert line in text
    plain = card_text(card(), manifest())
    assert "| token budget | none: nothing is cut |" in plain
    assert "| chat policy | none: rows are not chat messages |" in plain


def test_how_it_was_made() -> None:
    text = card_text(card(), manifest())
    assert "```\nehrlich prompts cases --out here\n```" in text
    assert f"`{manifest().config_fingerprint}`" in text
    for line in ("| seed | 3 |", "| ehrlich | 0.1.0 |", "| polars | 2.1.0 |",
                 "| input: cases | a\\|b |"):  # fmt: skip
        assert line in text
    assert "| seed | none |" in card_text(card(), replace(manifest(), seed=None))


def test_the_header_names_files_by_kind_and_split() -> None:
    files = {
        "decision_making.jsonl": 3, "decision_making.parquet": 3,
        "risk_prediction.parquet": 5,
    }  # fmt: skip
    text = card_text(card(files=files), manifest())
    assert header(text)["configs"] == [
        {"config_name": kind, "data_files": [{"split": "test", "path": [f"{kind}.parquet"]}]}
        for kind in ("decision_making", "risk_prediction")
    ]
    assert "| `decision_making.jsonl` | 3 |" in text
    parts = {"train-0.jsonl": 1, "train-1.jsonl": 1, "tuning-0.jsonl": 1}
    own = card_text(card(suite="EHR-Ins", files=parts), manifest())
    assert header(own)["configs"][0]["data_files"] == [
        {"split": "train", "path": ["train-0.jsonl", "train-1.jsonl"]},
        {"split": "validation", "path": ["tuning-0.jsonl"]},
    ]
    assert "configs" not in header(card_text(card(), manifest()))


@pytest.mark.parametrize(
    ("cases", "word"), [(8, "n<1K"), (1_000, "1K<n<10K"), (2_000_000, "1M<n<10M")]
)
def test_the_header_says_how_many_rows(cases: int, word: str) -> None:
    counts = card_counts(rows()).head(1).with_columns(cases=pl.lit(cases, pl.Int64))
    assert header(card_text(card(counts=counts), manifest()))["size_categories"] == [word]


def test_markdown_has_no_gap_of_three_lines_and_whole_tables() -> None:
    for use in DataUse:
        text = card_text(card(files={"risk_prediction.jsonl": 8}), manifest(use))
        assert "\n\n\n" not in text
        assert text.endswith("counts.\n")
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(cells) == 1, table


def test_a_card_is_written_beside_the_files(tmp_path: Path) -> None:
    write_card(tmp_path, card(), manifest=manifest())
    assert (tmp_path / CARD).read_text(encoding="utf-8") == card_text(card(), manifest())


def test_no_rows_no_card() -> None:
    with pytest.raises(DataError, match="an export without rows has no card"):
        card_text(card(counts=card_counts(rows()[:0])), manifest())


def test_without_jinja_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigError, match=r"need jinja2. pip install 'ehrlich\[prompts\]'"):
        card_text(card(), manifest())
