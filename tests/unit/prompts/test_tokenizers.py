"""The shipped tokenizer, folders of others, counting, and how ours was trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, DataUseError, ModelError
from ehrlich.base.store import Manifest, write_manifest
from ehrlich.prompts import train_tokenizer as training
from ehrlich.prompts.tokenizers import (
    TEXTS_AT_ONCE,
    Tokenizer,
    count_tokens,
    ids_of,
    load_tokenizer,
    special_ids,
)

EVENT = (
    "## Laboratory [2150-01-01 10:00:00]\n| Item | Value |\n| --- | --- |\n| Potassium | 4.2 |\n"
)


@pytest.fixture(scope="module")
def ours() -> Tokenizer:
    return load_tokenizer("chart-8k")


def test_ours_has_8192_entries_and_single_token_answers(ours: Tokenizer) -> None:
    assert ours.backend_tokenizer.get_vocab_size() == 8192
    assert count_tokens(["yes", "no", "Yes", "No", " yes", " no"], ours) == [1] * 6
    assert count_tokens(["<|im_start|>", "<|im_end|>", "<think>", "</think>"], ours) == [1] * 4
    assert special_ids(ours) == frozenset(range(8187, 8192))


def test_ours_writes_numbers_digit_by_digit_and_loses_nothing(ours: Tokenizer) -> None:
    text = f"{EVENT}\n\n- K⁺ 12.75 µg é 🙂\t\r\n  x"
    ids = ids_of([text], ours)[0]
    assert ours.decode(ids) == text
    pieces = [ours.decode([token]) for token in ids_of(["128.5"], ours)[0]]
    assert pieces == ["1", "2", "8", ".", "5"]


def test_marks_of_reasoning_survive_decoding_without_special_tokens(ours: Tokenizer) -> None:
    ids = ids_of(["<think>\na\n</think>\n\nyes<|im_end|>"], ours)[0]
    assert ours.decode(ids, skip_special_tokens=True) == "<think>\na\n</think>\n\nyes"


def test_its_files_are_small() -> None:
    folder = Path(training.__file__).parent / "tokenizer_files" / "chart_8k"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 700_000


def test_counting_is_whole_and_in_order(ours: Tokenizer) -> None:
    texts = [EVENT * (n % 5) for n in range(TEXTS_AT_ONCE + 3)]
    one = count_tokens([EVENT], ours)[0]
    assert count_tokens(texts, ours) == [len(each) for each in ids_of(texts, ours)]
    assert count_tokens(texts[:5], ours)[1] == one
    assert count_tokens([], ours) == []


def saved(ours: Tokenizer, folder: Path) -> Path:
    ours.save_pretrained(folder)  # type: ignore[attr-defined]
    return folder


def test_a_folder_is_loaded_and_its_limits_are_ignored(ours: Tokenizer, tmp_path: Path) -> None:
    path = saved(ours, tmp_path) / "tokenizer.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    body["truncation"] = {
        "direction": "Right",
        "max_length": 3,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    path.write_text(json.dumps(body), encoding="utf-8")
    assert count_tokens([EVENT], load_tokenizer(tmp_path)) == count_tokens([EVENT], ours)


def test_what_is_no_tokenizer_is_one_sentence(ours: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no such tokenizer; got nobody/none; .* Nothing is down"
    ):
        load_tokenizer("nobody/none")
    with pytest.raises(ConfigError, match="holds no tokenizer"):
        load_tokenizer(tmp_path)
    saved(ours, tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        load_tokenizer(tmp_path)


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install 'ehrlich\[prompts\]'"):
        load_tokenizer("chart-8k")


def test_training_gives_the_same_tokenizer_for_the_same_text(tmp_path: Path) -> None:
    texts = [EVENT, "yes no\n" * 50, "The patient was stable.\n"]
    first, second = (training.train_tokenizer(iter(texts), entries=300) for _ in range(2))
    assert first.to_str() == second.to_str()
    training.write_tokenizer(first, tmp_path)
    assert load_tokenizer(tmp_path).chat_template == load_tokenizer("chart-8k").chat_template


def test_it_is_never_trained_on_patients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charts = tmp_path / "charts"
    charts.mkdir()
    write_manifest(charts, Manifest("read", DataUse.CREDENTIALED, {}))
    monkeypatch.setattr(sys, "argv", ["train", str(charts), str(tmp_path / "out")])
    with pytest.raises(DataUseError, match="expected synthetic"):
        training.main()
    assert not (tmp_path / "out").exists()
