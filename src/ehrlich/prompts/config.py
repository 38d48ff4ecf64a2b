"""Settings of `ehrlich prompts`, and what follows from them and the charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

import polars as pl

from ehrlich.base.contracts import DATA
from ehrlich.base.errors import ConfigError
from ehrlich.base.store import Manifest, versions_of
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.finished import cases_manifest, tasks_of
from ehrlich.cohorts.scene import Source
from ehrlich.cohorts.task import Task, load_tasks
from ehrlich.prompts.chat_policy import ChatPolicy, load_policy
from ehrlich.prompts.counting import Counter
from ehrlich.prompts.messages import around, check_chat
from ehrlich.prompts.plan import Reader
from ehrlich.prompts.questions import CandidateMode, load_instructions, questions_of
from ehrlich.prompts.render import Writer
from ehrlich.prompts.style import Style, load_style


@dataclass(frozen=True, slots=True)
class PromptsConfig:
    """Settings. Workers, resume and quiet do not change results.

    - tokenizer: shipped name, folder, or "none" (nothing is counted or cut).
    - max_tokens: of the whole prompt, system turn and template included; null: nothing is cut.
    - limit: only so many cases of each task and shard. keep_ids: rows name the subject.
    - token_ids: blocks also hold token ids, for training without tokenising again.
    """

    style: str = "ehrlich"
    tokenizer: str = "chart-8k"
    max_tokens: int | None = None
    chat: str = "qwen3"
    thinking: bool = False
    candidates: CandidateMode = "none"
    instructions: Path | None = None
    token_ids: bool = False
    keep_ids: bool = False
    limit: int | None = None
    seed: int = 0
    workers: int = 2
    resume: bool = False
    fresh: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, manifest: Manifest) -> PromptsConfig:
        """The settings that made a finished folder."""
        stated = {**manifest.config, "style": manifest.config["style_name"], "seed": manifest.seed}
        known = {each.name for each in fields(cls)}
        stated |= {name: Path(path) for name, path in manifest.inputs.items()}
        return cls(**{name: value for name, value in stated.items() if name in known})


@dataclass(frozen=True)
class Setup:
    """The settings, made ready; what is heavy is opened when asked, once."""

    config: PromptsConfig
    charts_folder: Path
    cases_folder: Path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """A worker opens its own, once."""
        return open_setup, (self.config, (self.charts_folder, self.cases_folder))

    @cached_property
    def charts(self) -> Charts:
        """The timeline."""
        return Charts(self.charts_folder)

    @cached_property
    def source(self) -> Source:
        """What tasks know of it."""
        return Source.of(self.charts)

    @cached_property
    def cases(self) -> Manifest:
        """Manifest of the cases. Raises DataError where they were built from other charts."""
        return cases_manifest(self.cases_folder, self.charts)

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """Tasks that have cases, as these were built from them."""
        counts = self.cases.counts["tasks"]
        known = tasks_of(self.cases)
        return {name: known[name] for name, line in counts.items() if line["cases"]}

    @cached_property
    def style(self) -> Style:
        """The style."""
        style = load_style(self.config.style)
        if (style.style == "compat") != (self.source.policy == "compat"):
            raise ConfigError(
                "the style does not fit the charts",
                got=f"style {style.style}, charts read with --policy {self.source.policy}",
                expected="style compat for compat charts, and no other",
            )
        return style

    @cached_property
    def questions(self) -> dict[str, str]:
        """Task → question."""
        given: Mapping[str, str] | None = None
        if self.config.instructions is not None:
            given = load_instructions(self.config.instructions, {**load_tasks(), **self.tasks})
        return questions_of(self.tasks.values(), given)

    @cached_property
    def policy(self) -> ChatPolicy:
        """How the model is spoken to."""
        return load_policy(self.config.chat)

    @cached_property
    def counter(self) -> Counter:
        """The tokenizer."""
        return Counter(self.config.tokenizer, self.config.token_ids)

    @cached_property
    def writer(self) -> Writer:
        """The style, for these tables."""
        whole = whole_tables(self.charts, self.style)
        return Writer(self.style, self.charts.tables, whole, self.source.policy == "strict")

    @cached_property
    def reader(self) -> Reader:
        """From plans to charts."""
        count = None if self.counter.tokenizer is None else self.counter.count
        return Reader(self.writer, self.tasks, count)

    @cached_property
    def around_tokens(self) -> int:
        """Tokens of all that stands about chart and question. Raises for a template of no use."""
        tokenizer = self.counter.tokenizer
        if tokenizer is None:
            return 0
        check_chat(tokenizer, self.policy)
        before, after = around(tokenizer, self.policy, thinking=self.config.thinking)
        return sum(self.counter.count([before, after, self.style.before_question]))

    def settings(self) -> dict[str, Any]:
        """What changes results, for the manifest."""
        config = self.config
        return {
            "style_name": config.style,
            "style": self.style.model_dump(mode="json"),
            "tokenizer": config.tokenizer,
            "max_tokens": config.max_tokens,
            "chat": config.chat,
            "policy": self.policy.model_dump(mode="json"),
            "thinking": config.thinking,
            "candidates": config.candidates,
            "questions": self.questions,
            "token_ids": config.token_ids,
            "keep_ids": config.keep_ids,
            "limit": config.limit,
            "charts": self.charts.manifest.config_fingerprint,
            "cases": self.cases.config_fingerprint,
        }

    def manifest(self) -> Manifest:
        """The manifest of a run, without counts."""
        if self.config.max_tokens is not None and self.counter.tokenizer is None:
            raise ConfigError("--max-tokens needs a tokenizer", got="--tokenizer none")
        given = {
            "charts": self.charts_folder,
            "cases": self.cases_folder,
            "instructions": self.config.instructions,
        }
        packages = ["polars"] if self.counter.tokenizer is None else ["polars", "transformers"]
        return Manifest(
            "prompts",
            self.cases.data_use,
            self.settings(),
            seed=self.config.seed,
            inputs={name: str(path.resolve()) for name, path in given.items() if path is not None},
            versions=versions_of(packages),
        )


@cache
def open_setup(config: PromptsConfig, folders: tuple[Path, Path]) -> Setup:
    """The setup of these settings, for folders of charts and of cases: one a worker process.

    Only for workers: in a process that lives longer the folders may be made anew.
    """
    return Setup(config, *folders)


def whole_tables(charts: Charts, style: Style) -> frozenset[str]:
    """Tables that a column `as_file` asks about, and of which every number is whole."""
    asked = [
        name
        for name, table in style.tables.items()
        if any(column.as_file for column in table.columns.values())
    ]
    if not asked:
        return frozenset()
    rows = pl.scan_parquet(charts.folder / DATA / "**" / "*.parquet").filter(
        pl.col("table").is_in(asked) & pl.col("numeric_value").is_not_null()
    )
    found = rows.group_by("table").agg(whole=(pl.col("numeric_value") % 1 == 0).all()).collect()
    return frozenset(cast(list[str], found.filter("whole")["table"].to_list()))
