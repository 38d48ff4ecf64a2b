"""Finished prompts, by row: rendered on the fly from mapped blocks, the same text as the export.

Memory stays constant: plans and blocks are mapped, and only the rows asked for are read. Works as
a map-style dataset (`len`, `[i]`, `__getitems__` for a batch), without torch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.base.store import Manifest, read_manifest
from ehrlich.prompts.blocks import read_mapped
from ehrlich.prompts.chat_policy import ChatPolicy
from ehrlich.prompts.config import PromptsConfig, Setup
from ehrlich.prompts.prompt_ids import prompt_ids
from ehrlich.prompts.run import PLANS, ShardJob
from ehrlich.prompts.tokenizers import Ids


@dataclass(frozen=True)
class Prompts:
    """A finished folder of `ehrlich prompts`, with the settings that made it."""

    folder: Path
    manifest: Manifest
    setup: Setup

    @classmethod
    def open(cls, folder: Path) -> Prompts:
        """Raises StoreError where it is not finished, DataError where its charts have changed."""
        manifest = read_manifest(folder)
        if manifest.step != "prompts":
            raise DataError("holds no prompts", where=str(folder), got=manifest.step)
        folders = (Path(manifest.inputs["charts"]), Path(manifest.inputs["cases"]))
        setup = Setup(PromptsConfig.of(manifest), *folders)
        for name, found in (("charts", setup.charts.manifest), ("cases", setup.cases)):
            if found.config_fingerprint != manifest.config[name]:
                raise DataError(
                    f"the {name} have changed since these prompts were made",
                    where=manifest.inputs[name],
                    do="Make the prompts again.",
                )
        return cls(folder, manifest, setup)

    @cached_property
    def jobs(self) -> dict[str, ShardJob]:
        """Flat name of a shard → where its blocks and plans lie."""
        jobs = [ShardJob(self.setup, shard, self.folder) for shard in self.setup.charts.shards()]
        return {job.name: job for job in jobs}

    def plans(self, *, sample: str, split: str, task: str = "*") -> Iterator[tuple[ShardJob, Path]]:
        """Plans that may hold cases of a sample: where, in order of task and shard."""
        for path in sorted((self.folder / PLANS).glob(f"{task}/{split}-*.arrow")):
            yield self.jobs[path.stem], path

    def find(self, case_id: str) -> tuple[ShardJob, pl.DataFrame] | None:
        """The plan of one case."""
        for path in sorted((self.folder / PLANS).glob("*/*.arrow")):
            found = read_mapped(path).filter(pl.col("case_id") == case_id)
            if found.height:
                return self.jobs[path.stem], found
        return None

    def rows(
        self, job: ShardJob, plan: pl.DataFrame, *, policy: ChatPolicy | None = None,
        thinking: bool | None = None,
    ) -> pl.DataFrame:  # fmt: skip
        """`prompt_rows` of a plan; by default as the export was made."""
        return job.prompt_rows(plan, policy=policy, thinking=thinking)


class PromptDataset:
    """Prompts of one sample and split as a map-style dataset.

    Row i: messages [{role, content}], case_id, task, answer, boolean_value, weight, prompt_tokens.
    Order: by task, shard, and case. `task`: only of that task.
    """

    def __init__(
        self, folder: Path, *, sample: str = "ehr_ins", split: str = "train", task: str = "*",
        policy: ChatPolicy | None = None, thinking: bool | None = None,
    ) -> None:  # fmt: skip
        self.prompts = Prompts.open(folder)
        self.policy, self.thinking = policy, thinking
        self.parts: list[tuple[ShardJob, Path, np.ndarray[Any, np.dtype[np.int64]]]] = []
        for job, path in self.prompts.plans(sample=sample, split=split, task=task):
            chosen = read_mapped(path)["samples"].list.contains(sample).arg_true().to_numpy()
            if chosen.size:
                self.parts.append((job, path, chosen.astype(np.int64)))
        self.ends = list(accumulate(len(chosen) for _, _, chosen in self.parts))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def prompt_ids(self, index: int) -> Ids:
        """Token ids of row `index` for generation, as a server makes them (`prompt_ids`)."""
        part, place = self._place(index)
        job, path, chosen = self.parts[part]
        setup = self.prompts.setup
        chat = (
            self.policy or setup.policy,
            setup.config.thinking if self.thinking is None else self.thinking,
        )
        plan = read_mapped(path)[chosen[[place]]]
        (ids,) = prompt_ids(plan, job.blocks, reader=setup.reader, counter=setup.counter, chat=chat)
        return ids

    def _place(self, index: int) -> tuple[int, int]:
        """The part that holds row `index`, and where in it."""
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        part = bisect_right(self.ends, place)
        return part, place - (self.ends[part - 1] if part else 0)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Rows of a batch, in the order asked for."""
        wanted: dict[int, list[tuple[int, int]]] = {}
        for slot, index in enumerate(indices):
            part, place = self._place(index)
            wanted.setdefault(part, []).append((slot, place))
        found: dict[int, dict[str, Any]] = {}
        for part, asked in wanted.items():
            job, path, chosen = self.parts[part]
            plan = read_mapped(path)[chosen[[place for _, place in asked]]]
            rows = self.prompts.rows(job, plan, policy=self.policy, thinking=self.thinking)
            for (slot, _), row in zip(asked, rows.select(COLUMNS).to_dicts(), strict=True):
                found[slot] = row
        return [found[slot] for slot in range(len(indices))]


COLUMNS = (
    "messages", "case_id", "task", "split", "answer", "boolean_value", "weight", "prompt_tokens",
)  # fmt: skip
