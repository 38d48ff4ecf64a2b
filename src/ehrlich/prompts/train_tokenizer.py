"""How the shipped tokenizer came to be: `python -m ehrlich.prompts.train_tokenizer CHARTS OUT`.

Byte-level BPE of 8,192 entries, trained on the text of synthetic charts. The same charts give the
same file. It writes numbers digit by digit, as Qwen does, and its chat template speaks ChatML.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl

from ehrlich.base.contracts import SPLITS
from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import DataUseError
from ehrlich.base.store import write_aside
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.scene import KEY
from ehrlich.cohorts.task import Task, load_tasks
from ehrlich.prompts.joining import SEPARATOR
from ehrlich.prompts.render import Writer
from ehrlich.prompts.style import load_style

ENTRIES = 8192
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
REASONING = ("<think>", "</think>")
# Contractions; a word with what stands before it; one digit; marks with the line breaks after
# them; line breaks with the blanks before them; other blanks.
WORDS = "|".join(
    (
        r"(?i:'(?:[sdmt]|ll|ve|re))",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
ANSWERS = ("yes", "no", "Yes", "No", " yes", " no")
# Enough that an answer is merged to one token, whatever the charts hold.
ANSWER_COUNT = 2000
STYLE = "ehrlich"
EVENTS_AT_ONCE = 20_000


def train_tokenizer(texts: Iterator[str], *, entries: int = ENTRIES) -> Any:
    """A tokenizer (of `tokenizers`) of `entries` tokens, the added ones last."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = Split(Regex(WORDS), behavior="isolated")
    as_bytes = ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = Sequence([split, as_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=entries - len(SPECIAL) - len(REASONING),
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    # Marks of reasoning are text: a decoder that skips special tokens must leave them.
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in REASONING])
    return tokenizer


def chart_texts(charts: Charts) -> Iterator[str]:
    """Events of the train split as prompts show them; questions of tasks; answers."""
    writer = Writer(load_style(STYLE), charts.tables)
    for shard in (name for name in charts.shards() if name.startswith(f"{SPLITS[0]}/")):
        told = charts.read(shard, fields=True).filter(pl.col("time").is_not_null())
        texts = writer.event_texts(told, KEY)["text"].drop_nulls()
        for start in range(0, texts.len(), EVENTS_AT_ONCE):
            yield "".join(text + SEPARATOR for text in texts[start : start + EVENTS_AT_ONCE])
    yield from (_questions(task) for task in load_tasks().values())
    yield from (f"{answer}\n" * ANSWER_COUNT for answer in ANSWERS)


def _questions(task: Task) -> str:
    return f"{task.title}\n{task.description}\n{task.is_not}\n{task.question}\n\n"


def write_tokenizer(tokenizer: Any, out: Path) -> None:
    """tokenizer.json, tokenizer_config.json and chat_template.jinja, as transformers reads them."""
    out.mkdir(parents=True, exist_ok=True)
    with write_aside(out / "tokenizer.json") as aside:
        tokenizer.save(str(aside), pretty=False)
    end_of_text, _, end_of_turn = SPECIAL
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": end_of_turn,
        "pad_token": end_of_text,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 131072,
    }
    template = files("ehrlich.prompts") / "tokenizer_files" / "chart_8k" / "chat_template.jinja"
    text = template.read_text(encoding="utf-8")
    for name, body in (
        ("tokenizer_config.json", json.dumps(config, indent=2) + "\n"),
        ("chat_template.jinja", text),
    ):
        with write_aside(out / name) as aside:
            aside.write_text(body, encoding="utf-8")


def main() -> None:
    """Train on CHARTS, write to OUT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("charts", type=Path, help="finished charts of a synthetic hospital")
    parser.add_argument("out", type=Path, help="folder to write")
    asked = parser.parse_args()
    charts = Charts(asked.charts)
    if charts.manifest.data_use is not DataUse.SYNTHETIC:
        # A vocabulary is made of pieces of its text.
        raise DataUseError(
            "a tokenizer that is shipped holds text of its charts",
            where=str(asked.charts),
            got=charts.manifest.data_use.value,
            expected=DataUse.SYNTHETIC.value,
        )
    write_tokenizer(train_tokenizer(chart_texts(charts)), asked.out)


if __name__ == "__main__":
    main()
