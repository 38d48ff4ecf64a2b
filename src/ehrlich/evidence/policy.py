"""What makes a pair of concepts evidence: a policy, as YAML. `fdr` is the default."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

from pydantic import Field

from ehrlich.base.config import Model, load_model
from ehrlich.base.errors import ConfigError

POLICIES = Path(__file__).parent / "policies"


class Policy(Model):
    """What is counted, and which pairs are kept.

    - unit: `subject` counts one case of each subject, drawn by a stable hash, so that units are
      independent; `case` counts every case, and p and q are then too small.
    - strata: bins of context size (distinct concepts) within which independence is judged, since a
      long context holds more of everything and belongs to who gets more diagnoses; 1: none.
    - min_history, min_both: units that hold the history concept; that hold both.
    - min_lift: lift must be greater. max_q: Benjamini-Hochberg q; null: no test.
    - per_target: how many histories of the highest lift a target keeps; null: all.
    - exclude_self: a concept is no evidence of itself.
    """

    unit: Literal["subject", "case"]
    strata: int = Field(default=1, ge=1, le=64)
    min_history: int = Field(default=1, ge=1)
    min_both: int = Field(default=1, ge=1)
    min_lift: float = Field(default=1.0, ge=0)
    max_q: float | None = Field(default=None, gt=0, lt=0.5)
    per_target: int | None = Field(default=None, ge=1)
    exclude_self: bool = False


def load_policy(which: str | Path = "fdr") -> Policy:
    """A shipped policy by name, or the user's by the path of a YAML file. Raises ConfigError.

    >>> load_policy("fdr").max_q
    0.05
    """
    if isinstance(which, Path) or which.endswith((".yaml", ".yml")):
        return load_model(Policy, Path(which))
    known = {path.stem: path for path in sorted(POLICIES.glob("*.yaml"))}
    if which not in known:
        near = difflib.get_close_matches(which, known, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else "A path ends in .yaml."
        raise ConfigError(
            "no such policy", got=f"'{which}'", expected=f"one of {', '.join(known)}", do=hint
        )
    return load_model(Policy, known[which])
