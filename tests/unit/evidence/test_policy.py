"""Policies as YAML: the shipped ones, a user's own, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ehrlich.base.errors import ConfigError
from ehrlich.evidence.policy import load_policy


def test_the_default_counts_subjects_and_tests() -> None:
    policy = load_policy()
    assert (policy.unit, policy.min_both, policy.max_q) == ("subject", 5, 0.05)
    assert policy.strata > 1


def test_the_papers_rule_tests_nothing() -> None:
    policy = load_policy("paper")
    assert (policy.unit, policy.min_lift, policy.min_history) == ("case", 5, 5)
    assert (policy.max_q, policy.per_target, policy.exclude_self) == (None, 20, True)


def test_a_users_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("unit: subject\nmax_q: 0.01\n", encoding="utf-8")
    assert load_policy(str(path)) == load_policy(path)
    assert load_policy(path).max_q == 0.01


def test_an_unknown_policy_names_the_near_one() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'paper'"):
        load_policy("papre")


def test_a_misspelt_key_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("unit: subject\nmin_bot: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 2.*min_both"):
        load_policy(path)
