"""Which relations a path may use, how each reads, and which two in a row mean nothing."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from ehrlich.base.config import Model, load_model, validate

OWN_FILE = resources.files("ehrlich.evidence").joinpath("relations.yaml")


class Relation(Model):
    """A relation as a sentence: `head says tail`, `tail says_back head`. rank 1 is strongest.

    alone: a path of it is a tie even where the two never come together.
    """

    says: str = Field(min_length=1)
    says_back: str = Field(min_length=1)
    in_paths: bool = False
    alone: bool = True
    rank: int = Field(default=9, ge=1, le=99)


class Steps(Model):
    """Steps along any of these relations, all walked forward (head to tail) or all back."""

    relations: tuple[str, ...] = Field(min_length=1)
    walked: Literal["forward", "back"]


class Rule(Model):
    """Two steps in a row that no path may take, from whichever end it is read.

    - through: only where the node between is of these kinds; at all kinds if empty.
    - broader_than: only where the node between has more neighbours than this.
    """

    why: str
    first: Steps
    then: Steps
    through: tuple[str, ...] = ()
    broader_than: int = Field(default=0, ge=0)


class Relations(Model):
    """Every relation by name, and the rules of paths. See relations.yaml for what each means."""

    relations: dict[str, Relation] = Field(min_length=1)
    same_as: str
    close_to: str
    same_via: tuple[str, ...]
    not_inner_kinds: tuple[str, ...]
    max_inner_degree: int = Field(ge=1)
    forbidden: tuple[Rule, ...]

    @model_validator(mode="after")
    def _rules_name_relations(self) -> Relations:
        for rule in self.forbidden:
            for name in (*rule.first.relations, *rule.then.relations):
                if name not in self.relations:
                    raise ValueError(f"the rule '{rule.why}' names an unknown relation {name}")
        return self

    def telling_alone(self) -> Relations:
        """These, with paths of relations only that are a tie by themselves."""
        kept = {
            name: one.model_copy(update={"in_paths": one.in_paths and one.alone})
            for name, one in self.relations.items()
        }
        return self.model_copy(update={"relations": kept})


class OwnRelations(Model):
    """A user's file: relations to add or to replace, and rules instead of ours where given."""

    relations: dict[str, Relation] = {}
    same_as: str | None = None
    close_to: str | None = None
    same_via: tuple[str, ...] | None = None
    not_inner_kinds: tuple[str, ...] | None = None
    max_inner_degree: int | None = Field(default=None, ge=1)
    forbidden: tuple[Rule, ...] | None = None


def load_relations(path: Path | None = None) -> Relations:
    """Ours; with a `path`, what that file names put over them. Raises ConfigError."""
    ours = load_model(Relations, OWN_FILE)
    if path is None:
        return ours
    own = load_model(OwnRelations, path)
    settings = {
        **ours.model_dump(),
        **own.model_dump(exclude={"relations"}, exclude_none=True),
        "relations": {**ours.model_dump()["relations"], **own.model_dump()["relations"]},
    }
    return validate(Relations, settings, where=str(path), lines={})
