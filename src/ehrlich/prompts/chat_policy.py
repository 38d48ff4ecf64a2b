"""How a model is asked to think or not: one frozen object, read from YAML.

A policy says what belongs to a model's habits, never to the chart: its system prompt, its switch,
its marks of reasoning. Training, prediction and serving are given the same one.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ehrlich.base.config import Model, load_model
from ehrlich.base.errors import ConfigError


class Switch(Model):
    """What is added where thinking is wanted, and where it is not."""

    thinking: str = ""
    answering: str = ""

    def of(self, thinking: bool) -> str:
        """The text for one of the two."""
        return self.thinking if thinking else self.answering


class ChatPolicy(Model):
    r"""How one family of models is spoken to.

    - system: text of the system turn; null for none.
    - template_flag: the template's variable that is true where thinking is wanted; "" for none.
    - suffix: what is put at the end of the user's turn, with its separator ("\n/think").
    - begin: what is put after the generation prompt, where the template has no switch of its own.
    - opens, closes: marks around the reasoning.
    - reasoning: `template` where the template writes `reasoning_content` itself, `content` where
      it must be put into the content between the marks.
    """

    description: str
    system: str | None = "You are a helpful assistant."
    template_flag: str = ""
    suffix: Switch = Switch()
    begin: Switch = Switch()
    opens: str = Field(default="<think>", min_length=1)
    closes: str = Field(default="</think>", min_length=1)
    reasoning: Literal["template", "content"] = "template"

    @model_validator(mode="after")
    def _marks_differ(self) -> ChatPolicy:
        if self.opens == self.closes:
            raise ValueError("opens and closes must differ")
        return self

    def template_variables(self, thinking: bool) -> dict[str, Any]:
        """What the template is told (`chat_template_kwargs` of a server)."""
        return {self.template_flag: thinking} if self.template_flag else {}

    def with_marks(self, reasoning: str, answer: str) -> str:
        """A reply as one text: marks, reasoning, a blank line, the answer."""
        return f"{self.opens}\n{reasoning.strip()}\n{self.closes}\n\n{answer}"


def shipped_policies() -> dict[str, Traversable]:
    """Files of the policies that come with ehrlich, by name."""
    folder = files("ehrlich.prompts") / "chat_policies"
    found = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return {
        entry.name.removesuffix(".yaml"): entry for entry in found if entry.name.endswith(".yaml")
    }


def load_policy(name_or_file: str | Path) -> ChatPolicy:
    """A shipped policy by its name, or a user's YAML file. Raises ConfigError."""
    known = shipped_policies()
    if str(name_or_file) in known:
        return load_model(ChatPolicy, known[str(name_or_file)])
    path = Path(name_or_file)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(
            "no such chat policy", got=str(name_or_file), expected=f"one of {', '.join(known)}"
        )
    return load_model(ChatPolicy, path)
