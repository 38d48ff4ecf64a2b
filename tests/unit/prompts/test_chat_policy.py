"""Policies are data: the shipped ones load, a user's own does, a wrong one is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from ehrlich.base.errors import ConfigError
from ehrlich.prompts.chat_policy import ChatPolicy, load_policy, shipped_policies


@pytest.mark.parametrize("name", shipped_policies())
def test_a_shipped_policy_loads(name: str) -> None:
    policy = load_policy(name)
    assert policy.description.endswith(".")
    assert (policy.opens, policy.closes) == ("<think>", "</think>")


def test_the_released_suffixes_differ_only_where_thinking_is_off() -> None:
    train, test = load_policy("released_train"), load_policy("released_test")
    assert train.suffix.of(thinking=True) == test.suffix.of(thinking=True) == "\n/think"
    assert (train.suffix.of(thinking=False), test.suffix.of(thinking=False)) == (
        "/no_think",
        "\n/no_think",
    )


def test_only_a_policy_with_a_flag_tells_the_template() -> None:
    assert load_policy("qwen3").template_variables(thinking=False) == {"enable_thinking": False}
    assert load_policy("plain").template_variables(thinking=False) == {}


def test_a_user_writes_a_policy_of_their_own(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("description: Mine.\nsystem: null\nopens: '[THINK]'\ncloses: '[/THINK]'\n")
    policy = load_policy(own)
    assert policy.system is None
    assert policy.with_marks(" because \n", "yes") == "[THINK]\nbecause\n[/THINK]\n\nyes"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("description: a\nsufix: {}\n", "Did you mean 'suffix'?"),
        ("description: a\nopens: '|'\ncloses: '|'\n", "must differ"),
        ("description: a\nopens: ''\n", "opens"),
        ("description: a\nreasoning: elsewhere\n", "reasoning"),
    ],
)
def test_a_wrong_policy_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"wrong\.yaml") as caught:
        load_policy(tmp_path / "wrong.yaml")
    assert said in str(caught.value)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="one of empty_think, plain, qwen3, released_test"):
        load_policy("qwen4")


def test_policies_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ChatPolicy(description="a").system = "b"
