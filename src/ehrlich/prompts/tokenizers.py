"""Tokenizers by name or folder, never a download; and the counting of tokens in bulk.

`chart-8k` is ours and comes with ehrlich. All others are local folders as transformers saves them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from ehrlich.base.errors import ConfigError, ModelError

Ids = npt.NDArray[np.uint32]

SHIPPED = {"chart-8k": "chart_8k"}
TEXTS_AT_ONCE = 2048
_QUIET = "TRANSFORMERS_NO_ADVISORY_WARNINGS"


class Tokenizer(Protocol):
    """What we use of a fast tokenizer of transformers."""

    chat_template: Any
    backend_tokenizer: Any

    def apply_chat_template(self, conversation: Any, **how: Any) -> Any:
        """A conversation as text or ids."""

    def decode(self, token_ids: Any, **how: Any) -> Any:
        """Ids as text."""


def load_tokenizer(name_or_folder: str | Path) -> Tokenizer:
    """A shipped tokenizer by its name, or that of a local folder.

    Raises ConfigError where there is none or the extra is missing, ModelError where its files
    cannot be read or it has no fast form.
    """
    if str(name_or_folder) in SHIPPED:
        shipped = files("ehrlich.prompts") / "tokenizer_files" / SHIPPED[str(name_or_folder)]
        with as_file(shipped) as folder:
            return _load(folder)
    folder = Path(name_or_folder)
    if not folder.is_dir():
        raise ConfigError(
            "no such tokenizer",
            got=str(name_or_folder),
            expected=f"a local folder, or {', '.join(SHIPPED)}",
            do="Nothing is downloaded: fetch the model's folder first.",
        )
    return _load(folder)


def _load(folder: Path) -> Tokenizer:
    if not (folder / "tokenizer_config.json").is_file():
        raise ConfigError(
            "holds no tokenizer",
            where=str(folder),
            expected="tokenizer_config.json, tokenizer.json",
        )
    with _without_advice():
        try:
            from transformers import AutoTokenizer
        except ImportError as exc:
            raise ConfigError(
                "prompts need transformers", do="pip install 'ehrlich[prompts]'."
            ) from exc
        try:
            loaded = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
        # The library promises none of these: whatever a damaged or foreign file leads to.
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as exc:
            raise _unreadable(folder, exc) from exc
    if not getattr(loaded, "is_fast", False):
        raise ModelError(
            "the tokenizer has no fast form", where=str(folder), expected="tokenizer.json"
        )
    tokenizer = cast(Tokenizer, loaded)
    # A limit kept in the file would cut texts without a word.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def _unreadable(folder: Path, exc: Exception) -> ModelError:
    return ModelError("the tokenizer cannot be read", where=str(folder), got=type(exc).__name__)


@contextmanager
def _without_advice() -> Iterator[None]:
    """transformers advises to install torch, which tokenizers do not need."""
    before = os.environ.get(_QUIET)
    os.environ[_QUIET] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_QUIET]
        else:
            os.environ[_QUIET] = before


def ids_of(texts: Sequence[str], tokenizer: Tokenizer) -> list[Ids]:
    """Token ids of each text: whole, and with nothing put before or after."""
    return [
        np.array(each.ids, dtype=np.uint32)
        for batch in _batches(texts)
        for each in tokenizer.backend_tokenizer.encode_batch_fast(batch, add_special_tokens=False)
    ]


def count_tokens(texts: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """How many tokens each text has: whole, and with nothing put before or after."""
    return [
        len(each)
        for batch in _batches(texts)
        for each in tokenizer.backend_tokenizer.encode_batch_fast(batch, add_special_tokens=False)
    ]


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Of bounded size: an encoding holds far more than ids."""
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        yield list(texts[start : start + TEXTS_AT_ONCE])


def special_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Ids of all added tokens, special or not: what chart text must never lead to."""
    return frozenset(tokenizer.backend_tokenizer.get_added_tokens_decoder())
