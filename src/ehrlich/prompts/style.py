"""How a chart is written down, as data: per table a title and columns. One YAML file a style."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import model_validator

from ehrlich.base.config import Model, load_model
from ehrlich.base.errors import ConfigError

SHIPPED = ("ehrlich", "compat")


class Column(Model):
    """A key of a list, or a column of a table.

    - of: columns of the timeline (item, text_value, numeric_value, unit, flag, ref_low, ref_high),
      fields of the table, or made from those: `value` (text as the source gives it, else the
      number), `arrow` (↑ ↓ outside the reference range, else what the flag says), `range`.
      Several are joined by a space: those after the first say more of it, and go where it is
      missing.
    - age: instead of `of`: the subject's age at prediction_time, from this row's time of birth.
    - empty: what stands where all are missing; null: the style's word for it.
    - short: a number in four digits (a dose, a rate).
    - as_list: several names, one a line, as ['a', 'b'].
    - float: a field that holds a number, written as the released code does
      (`released_floats`).
    - as_file: a number, whole where all the timeline's numbers of this table are (a file of whole
      numbers alone is read as integers by pandas).
    """

    of: tuple[str, ...] = ()
    age: bool = False
    empty: str | None = None
    short: bool = False
    as_list: bool = False
    float: bool = False
    as_file: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        """A name, or a list of names, is short for `of`."""
        if isinstance(given, str):
            return {"of": [given]}
        return {"of": given} if isinstance(given, list) else given


class TableStyle(Model):
    """How the events of one table look.

    - title: null: the heading that the dictionary gives. skip: never shown.
    - columns: in order; none: the heading alone. fields: also every field not yet among them.
    - body: a text that follows the list as it is (notes). A table with a body never becomes a
      Markdown table: each measurement is a list of its own.
    """

    title: str | None = None
    skip: bool = False
    columns: dict[str, Column] = {}
    fields: bool = False
    body: str | None = None


class Style(Model):
    """A way to write charts.

    - empty: a missing cell of a table. omit_empty: a list leaves out lines without a value.
    - escape: pipes, line breaks and headings in cells and notes are escaped, white space stripped.
    - whole_numbers: 41.0 is written 41.
    - missing_words: cells that mean a missing value.
    - join_absent: absent parts of a prompt leave an empty text of their own between separators.
    - before_question: what stands between the chart and the question.
    - facts: title of the facts; facts_time: what stands in brackets after it (null: nothing).
    - other: how tables look that the style does not name.
    """

    style: str
    empty: str = ""
    omit_empty: bool = True
    escape: bool = True
    whole_numbers: bool = True
    missing_words: tuple[str, ...] = ()
    join_absent: bool = False
    before_question: str = "\n\n"
    facts: str = "Patient"
    facts_time: str | None = None
    other: TableStyle = TableStyle()
    tables: dict[str, TableStyle]

    def of_table(self, table: str) -> TableStyle:
        """The style of one table."""
        return self.tables.get(table, self.other)


@cache
def load_style(name: str) -> Style:
    """A shipped style by its name, or the user's own YAML file. Raises ConfigError."""
    if name in SHIPPED:
        return load_model(Style, Path(str(files("ehrlich.prompts") / "styles" / f"{name}.yaml")))
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError("unknown style", got=name, expected=f"{', '.join(SHIPPED)}, or a file")
    return load_model(Style, path)
