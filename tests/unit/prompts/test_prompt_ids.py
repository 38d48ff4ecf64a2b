"""Ids put together from blocks are the ids that a server sends, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ehrlich.cohorts.finished import Inputs
from ehrlich.prompts import prompt_ids as module
from ehrlich.prompts.chat_policy import load_policy
from ehrlich.prompts.config import PromptsConfig
from ehrlich.prompts.dataset import PromptDataset
from ehrlich.prompts.joining import ids_of_joined
from ehrlich.prompts.messages import encode
from ehrlich.prompts.run import run
from ehrlich.prompts.tokenizers import Ids

HOW: dict[str, Any] = {"limit": 30, "workers": 1, "quiet": True, "max_tokens": 3000}


@pytest.fixture(scope="module", params=[True, False], ids=["kept ids", "no ids"])
def folder(
    request: pytest.FixtureRequest, inputs: Inputs, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("ids") / "prompts"
    run(PromptsConfig(**HOW, token_ids=request.param), inputs, out)
    return out


@pytest.mark.parametrize("thinking", [True, False])
def test_ids_by_blocks_are_those_of_the_rendered_conversation(
    folder: Path, thinking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined: list[int] = []

    def counted(*given: Any, **named: Any) -> Ids:
        joined.append(len(named["inner"]))
        return ids_of_joined(*given, **named)

    monkeypatch.setattr(module, "ids_of_joined", counted)
    policy = load_policy("qwen3")
    rows = PromptDataset(folder, policy=policy, thinking=thinking)
    tokenizer = rows.prompts.setup.counter.tokenizer
    assert tokenizer is not None
    assert len(rows) > 40
    for index in range(len(rows)):
        asked = [turn for turn in rows[index]["messages"] if turn["role"] != "assistant"]
        served = encode(
            asked, tokenizer=tokenizer, policy=policy, thinking=thinking, for_generation=True
        )
        assert rows.prompt_ids(index).tolist() == served, index
    kept = rows.prompts.setup.config.token_ids
    assert len(joined) == (len(rows) if kept else 0)
