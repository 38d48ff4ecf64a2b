"""The README.md of an export: what is in it, whose terms it stands under, how it was made.

The header is YAML as the Hugging Face Hub reads it, so that `datasets` finds the files by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl
import yaml

from ehrlich.base.contracts import SPLITS
from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, DataError
from ehrlich.base.store import Manifest, write_aside
from ehrlich.prompts.exports import BENCH_FILES

Suite = Literal["EHR-Ins", "EHR-Bench"]
CARD = "README.md"
# The Hub's words for splits.
HUB_SPLITS = {"train": "train", "tuning": "validation", "held_out": "test"}


class Terms(NamedTuple):
    """What a data-use tag means for who holds the export. `licence` in the Hub's words."""

    licence: str
    licence_name: str
    sentence: str
    may_be_shared: bool


TERMS = {
    DataUse.SYNTHETIC: Terms(
        "other",
        "synthetic",
        "The patients do not exist: the records were written by ehrlich's synthetic hospital, and "
        "what is made with it belongs to who made it.",
        may_be_shared=True,
    ),
    DataUse.OPEN: Terms(
        "other",
        "that-of-the-source",
        "The records are open under the licence of their source, which holds for this export too "
        "(the MIMIC-IV demo: Open Data Commons ODbL 1.0, which asks for attribution and the same "
        "licence).",
        may_be_shared=True,
    ),
    DataUse.CREDENTIALED: Terms(
        "other",
        "credentialed-access",
        "The records were given to you under a data use agreement (MIMIC-IV and its modules: the "
        "PhysioNet Credentialed Health Data Use Agreement), and what is made from them stays under "
        "it: share it only with those who signed the same agreement, by the way that it allows.",
        may_be_shared=False,
    ),
    DataUse.PHI: Terms(
        "other",
        "protected-health-information",
        "These are records of identifiable patients: the rules of the institution that holds them "
        "apply, and the export stays where the records may be.",
        may_be_shared=False,
    ),
}
CANDIDATES = {
    "none": "Questions come without a list of names to choose from.",
    "frequent": "Questions of decisions list the names most frequent among answers to the same "
    "task in the train split. The list is the same for every case of a task and looks at no "
    "answer; a right name may be missing from it.",
    "oracle": "**Oracle lists**: the list under a question holds every right name of that case, "
    "among wrong ones. It makes the task easier than it is: figures from these rows compare only "
    "with figures from such lists, and the rows do not belong in a deployed prompt.",
}
LIMITS = (
    "Answers are what was recorded or done, not what was right to do.",
    "A score on these tasks is not evidence of clinical benefit; practice differs by place and "
    "time.",
    "Texts of a record may hold instructions or errors; they are shown as data, with chat and "
    "Markdown marks made harmless where the style says so.",
)
LIMITS_BY_USE = {
    DataUse.SYNTHETIC: "What holds among synthetic patients need not hold in a clinic: use these "
    "rows to try and test, not to claim.",
    DataUse.CREDENTIALED: "Models trained on these rows may repeat parts of them: ask "
    "what the agreement says of weights before you share any.",
    DataUse.PHI: "Models trained on these rows may repeat parts of them: treat weights as records.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What an export's card says beyond its manifest.

    - counts: from `card_counts`. files: path in the folder → rows.
    - candidates: none, frequent or oracle. wording: whose words the questions are.
    - max_tokens: the budget; None: nothing is cut. source_licence: of the records, if known.
    - has_ids: rows name the subject. limits: what else a reader must know, a sentence each.
    """

    suite: Suite
    counts: pl.DataFrame
    command: str
    files: Mapping[str, int] = field(default_factory=dict)
    style: str = "ehrlich"
    wording: str = "ehrlich's own"
    tokenizer: str | None = None
    max_tokens: int | None = None
    chat_policy: str | None = None
    candidates: Literal["none", "frequent", "oracle"] = "none"
    source_licence: str | None = None
    has_ids: bool = False
    limits: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The heading of the card."""
        return f"{self.suite}, made by ehrlich"

    @property
    def summary(self) -> str:
        """One sentence: what the export is for."""
        if self.suite == "EHR-Ins":
            return "Questions about electronic health records with their answers, to train on."
        return "Questions about electronic health records with their answers, to test models by."

    @property
    def suite_sentence(self) -> str:
        """What a row is."""
        if self.suite == "EHR-Ins":
            return "A row is a conversation (`messages`) and the columns of its case."
        return (
            "A row has the keys of the released benchmark: `idx`, `instruction`, `input`, "
            "`output`, `candidates`, `task_info`."
        )


def card_counts(cases: pl.DataFrame) -> pl.DataFrame:
    """task, split, cases, yes, cut: how many; sorted by task and split. Sums of shards add up.

    In: task, split, optional boolean_value, cut bool. yes is null but for risks; cut is null
    where the rows do not say.
    """
    yes = pl.col("boolean_value") if "boolean_value" in cases.columns else pl.lit(None, pl.Boolean)
    cut = pl.col("cut") if "cut" in cases.columns else pl.lit(None, pl.Boolean)
    known = cases.select("task", "split", _yes=yes, _cut=cut)
    counted = known.group_by("task", "split").agg(
        pl.len().cast(pl.Int64).alias("cases"),
        yes=pl.when(pl.col("_yes").count() > 0).then(pl.col("_yes").sum().cast(pl.Int64)),
        cut=pl.when(pl.col("_cut").count() > 0).then(pl.col("_cut").sum().cast(pl.Int64)),
    )
    return counted.sort("task", "split")


def write_card(out: Path, card: Card, *, manifest: Manifest) -> None:
    """Write `out/README.md`, whole or not at all."""
    with write_aside(out / CARD) as aside:
        aside.write_text(card_text(card, manifest), encoding="utf-8")


def card_text(card: Card, manifest: Manifest) -> str:
    """The card in Markdown.

    Raises DataError for an export without rows, ConfigError where jinja2 is not installed.
    """
    if not card.counts.height:
        raise DataError("an export without rows has no card")
    use = DataUse(manifest.data_use)
    splits = _splits(card.counts)
    own = LIMITS_BY_USE.get(use)
    template = _environment().from_string(
        (files("ehrlich.prompts") / "templates" / "card.md.jinja").read_text(encoding="utf-8")
    )
    text: str = template.render(
        card=card,
        manifest=manifest,
        header=_header(card, use),
        terms=TERMS[use],
        splits=splits,
        lines=_lines(card.counts, splits),
        files=[(_cell(name), rows) for name, rows in card.files.items()],
        candidates=card.candidates,
        candidates_sentence=CANDIDATES[card.candidates],
        limits=(*LIMITS, *((own,) if own else ()), *card.limits),
        versions=sorted(manifest.versions.items()),
        inputs=[(name, _cell(str(value))) for name, value in sorted(manifest.inputs.items())],
    )
    return text


def _environment() -> Any:
    try:
        import jinja2
    except ImportError as exc:
        raise ConfigError(
            "dataset cards need jinja2", do="pip install 'ehrlich[prompts]'"
        ) from exc  # fmt: skip
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    environment.globals["share"] = _share
    return environment


def _header(card: Card, use: DataUse) -> str:
    terms = TERMS[use]
    total = int(card.counts["cases"].sum())
    tags = ["electronic-health-records", "clinical", "ehrlich", f"data-use-{use}"]
    if card.candidates == "oracle":
        tags.append("oracle-candidates")
    header: dict[str, Any] = {
        "pretty_name": card.title,
        "license": terms.licence,
        "license_name": terms.licence_name,
        "language": ["en"],
        "task_categories": ["text-generation", "question-answering"],
        "size_categories": [_size(total)],
        "tags": tags,
    }
    if not terms.may_be_shared:
        header["extra_gated_prompt"] = "Not to be uploaded: under a data use agreement."
    if configs := _configs(tuple(card.files), card.suite):
        header["configs"] = configs
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _configs(names: Sequence[str], suite: Suite) -> list[dict[str, Any]]:
    """What `load_dataset` finds by name: Parquet where there is some, by kind of task and split."""
    parquet = [name for name in names if name.endswith(".parquet")]
    chosen = parquet or [name for name in names if name.endswith(".jsonl")]
    usual = "train" if suite == "EHR-Ins" else "held_out"
    groups: dict[str, dict[str, list[str]]] = {}
    for name in chosen:
        kind = next((kind for kind in BENCH_FILES.values() if kind in name), "default")
        split = HUB_SPLITS[next((split for split in SPLITS if split in name), usual)]
        groups.setdefault(kind, {}).setdefault(split, []).append(name)
    return [
        {
            "config_name": kind,
            "data_files": [{"split": split, "path": paths} for split, paths in parts.items()],
        }
        for kind, parts in groups.items()
    ]


def _size(rows: int) -> str:
    """The Hub's word for how many rows."""
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"),
              (1_000_000, "100K<n<1M"))  # fmt: skip
    return next((word for bound, word in bounds if rows < bound), "1M<n<10M")


def _splits(counts: pl.DataFrame) -> list[str]:
    there = set(counts["split"].unique())
    return [split for split in SPLITS if split in there] + sorted(there - set(SPLITS))


def _lines(counts: pl.DataFrame, splits: Sequence[str]) -> list[dict[str, Any]]:
    """A line a task: cases by split, shares over all splits."""
    lines = []
    for (task,), part in counts.group_by("task", maintain_order=True):
        by_split = dict(part.select("split", "cases").iter_rows())
        total = sum(by_split.values())
        known = {name: part[name].sum() if part[name].count() else None for name in ("yes", "cut")}
        shares = {
            name: None if count is None else count / total for name, count in known.items()
        }  # fmt: skip
        lines.append({"task": task, "counts": [by_split.get(s, 0) for s in splits], **shares})
    return lines


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _cell(text: str) -> str:
    """A text that does not end its cell."""
    return text.replace("|", "\\|").replace("\n", " ")
