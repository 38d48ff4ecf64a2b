"""Spellings and brands of drugs, from a dictionary that comes as a stream of opcodes.

The file is a Python pickle. It is never loaded as one: its opcodes are read as text, and only
those that put down dictionaries, lists, text and numbers are followed. Anything else is refused.
"""

from __future__ import annotations

import bz2
import pickletools
from collections.abc import Callable
from typing import Any

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.evidence.knowledge.open.harvest import Harvest, mention, plain, said_by
from ehrlich.evidence.knowledge.open.library import Library

DICTIONARY = "drug_named_entity_recognition/drug_ner_dictionary.pkl.bz2"
FEWEST_LETTERS = 3
_MARK = object()
_VALUES: dict[str, Callable[[Any], Any]] = {
    "SHORT_BINUNICODE": lambda text: text,
    "BINUNICODE": lambda text: text,
    "BINFLOAT": lambda number: number,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "NONE": lambda _: None,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "MARK": lambda _: _MARK,
}


def plain_data(raw: bytes) -> Any:
    """Dictionaries, lists and text of a pickle that holds nothing else. Raises DataError."""
    stack: list[Any] = []
    memo: list[Any] = []
    try:
        for code, argument, _ in pickletools.genops(raw):
            name = code.name
            if name in _VALUES:
                stack.append(_VALUES[name](argument))
            elif name == "MEMOIZE":
                memo.append(stack[-1])
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[int(argument or 0)])
            elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
                _put(stack, name)
            elif name not in ("PROTO", "FRAME", "STOP"):
                raise DataError("the drug dictionary holds more than plain data", got=name)
    except (ValueError, IndexError, TypeError, AttributeError) as exc:
        raise DataError("the drug dictionary cannot be read", got=type(exc).__name__) from exc
    return stack[-1] if stack else None


def _put(stack: list[Any], name: str) -> None:
    """Move what stands on top of the stack into the list or dictionary below it."""
    if name in ("APPENDS", "SETITEMS"):
        at = len(stack) - 1 - stack[::-1].index(_MARK)
        items = stack[at + 1 :]
        del stack[at:]
    else:
        n = 1 if name == "APPEND" else 2
        items = stack[-n:]
        del stack[-n:]
    if name.startswith("APPEND"):
        stack[-1].extend(items)
    else:
        stack[-1].update(zip(items[::2], items[1::2], strict=True))


def spellings(library: Library) -> Harvest:
    """Variants of a drug's name, where they stand for one drug only.

    The MeSH ids of the dictionary are often those of a class: they are not used.
    """
    held = plain_data(bz2.decompress(library.read("drug_words", DICTIONARY)))
    if not isinstance(held, dict) or "drug_variant_to_canonical" not in held:
        raise DataError("the drug dictionary has no variants", where=DICTIONARY)
    variants = held["drug_variant_to_canonical"]
    rows = pl.DataFrame(
        {"name": list(variants), "drug": list(variants.values())},
        schema={"name": pl.String, "drug": pl.List(pl.String)},
    )
    one = rows.filter(
        (pl.col("drug").list.len() == 1)
        & (pl.col("name").str.len_chars() >= FEWEST_LETTERS)
        & ~pl.col("name").str.contains(r"^[\d\s.,-]+$")
    ).with_columns(drug=pl.col("drug").list.first())
    apart = one.filter(plain(pl.col("name")) != plain(pl.col("drug")))
    return said_by(
        "drug_words",
        {"variant of several drugs, or too short": rows.height - one.height},
        names=apart.select(id=mention("drug", pl.col("drug")), name="name"),
    )
