"""A case's thinking graph, as text for a terminal and as a picture (SVG or PNG)."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve

from ehrlich.base.errors import ConfigError, DataError
from ehrlich.base.store import write_aside

Edge = dict[str, Any]
Names = Mapping[str, str]

# Of Okabe and Ito's palette: told apart by colour-blind readers, and by the dashes.
BOTH, TOGETHER, KNOWN = "#0072B2", "#D55E00", "#6B6B6B"
INK, QUIET, PALE = "#1A1A1A", "#5A5A5A", "#F4F6F8"
LEGEND: tuple[tuple[str, Any, str], ...] = (
    (BOTH, "-", "seen together and known"),
    (TOGETHER, "-", "seen together"),
    (KNOWN, "--", "known only"),
)
LINE, GAP = 0.165, 0.16
WIDTH = 13.0
# Left edge, width and letters a line of each column, in inches.
HISTORY, INNER, TARGET = (0.15, 3.75, 48), (5.75, 2.6, 32), (10.55, 2.3, 27)
# Right of this all edges bend to their target; left of it they are level and cross nothing.
TURN = 9.75
MOST_LINES = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One edge as it is drawn: texts already wrapped, y from the top in inches."""

    edge: Edge
    name: str
    note: str
    height: float


def as_text(rows: pl.DataFrame, *, names: Names | None = None, width: int = 100) -> str:
    """The graph of one case (rows of `graphs_schema()`) as a tree: targets, and what points there.

    `names`: of concepts, as a clinician reads them. Raises DataError for none or several cases.
    """
    edges = _of_one_case(rows)
    lines = [f"Case {edges[0]['case_id']}: {_asked(edges)}"]
    groups = _by_target(edges)
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        lines.append(f"{'└' if last else '├'}─ {_name(group[0]['target'], names)}")
        for place, edge in enumerate(group):
            stem = f"{' ' if last else '│'}  "
            final = place == len(group) - 1
            lines.append(
                f"{stem}{'└' if final else '├'}─ {edge['rank']}. {_name(edge['history'], names)}"
            )
            under = f"{stem}{' ' if final else '│'}     "
            for told in (_where(edge), _strength(edge), _reading(edge, names)):
                if told:
                    lines += textwrap.wrap(
                        told, width, initial_indent=under, subsequent_indent=f"{under}  "
                    )
    return "\n".join(lines)


def draw(rows: pl.DataFrame, path: Path, *, names: Names | None = None) -> None:
    """Write the graph of one case as a picture; the ending of `path` (svg, png) says the format.

    History left, nodes of knowledge in the middle, targets right; wider where the lift is higher.
    Raises DataError for none or several cases, ConfigError for another ending.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("svg", "png"):
        raise ConfigError("no picture of this kind", got=path.name, expected=".svg or .png")
    figure = _figure(_of_one_case(rows), names)
    # Without the date the same graph gives the same file.
    told = {"Date": None} if kind == "svg" else {}
    with write_aside(path) as aside:
        figure.savefig(aside, format=kind, dpi=150, facecolor="white", metadata=told)


def _of_one_case(rows: pl.DataFrame) -> list[Edge]:
    cases = rows["case_id"].n_unique()
    if cases != 1:
        raise DataError("a picture is of one case", got=f"{cases} cases")
    return rows.sort("target", "rank").to_dicts()


def _by_target(edges: Sequence[Edge]) -> list[list[Edge]]:
    groups: dict[str, list[Edge]] = {}
    for edge in edges:
        groups.setdefault(edge["target"], []).append(edge)
    return list(groups.values())


def _asked(edges: Sequence[Edge]) -> str:
    return "true answers (training only)" if edges[0]["conditioned"] else "candidates"


def _name(concept: str, names: Names | None) -> str:
    """As given, else what stands after the kind."""
    known = (names or {}).get(concept)
    return known or " ".join(concept.split("//")[1:]) or concept


def _where(edge: Edge) -> str:
    time = edge["time"]
    when = f"{time:%Y-%m-%d %H:%M}" if time is not None else "at no time (a fact)"
    event = "" if edge["event"] is None else f", event {edge['event']}"
    return f"last seen {when}{event}"


def _strength(edge: Edge) -> str:
    if edge["lift"] is None:
        return ""
    return (
        f"together in {edge['n_both']}, {edge['lift']:.1f} times as often as by chance "
        f"(q {_number(edge['q'])})"
    )


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def _reading(edge: Edge, names: Names | None) -> str:
    """The path in words, and who says so."""
    if edge["path"] is None:
        return ""
    first, *between, last = edge["path"]
    words = [_name(first, names), *between, _name(last, names)]
    origins = "; ".join(dict.fromkeys(edge["sources"] or []))
    said = ", ".join(" ".join(words[n : n + 3]) for n in range(0, len(words) - 2, 2))
    return f"known: {said}{f' [{origins}]' if origins else ''}"


def _figure(edges: Sequence[Edge], names: Names | None) -> Figure:
    groups = [[_row(edge, names) for edge in group] for group in _by_target(edges)]
    heights = [_group_height(group, names) for group in groups]
    height = sum(heights) + 1.35
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    axes.axis("off")
    axes.text(0.15, 0.28, f"Case {edges[0]['case_id']}", size=12, weight="bold", color=INK,
              va="center")  # fmt: skip
    axes.text(0.15, 0.55, f"Targets: {_asked(edges)}. Arrows read from the target to the history.",
              size=9, color=QUIET, va="center")  # fmt: skip
    top = 0.8
    for group, room in zip(groups, heights, strict=True):
        _draw_group(axes, group, (top, room), names)
        top += room
    _draw_legend(axes, height - 0.25)
    return figure


def _row(edge: Edge, names: Names | None) -> Row:
    name = _wrapped(_name(edge["history"], names), HISTORY[2])
    note = f"{edge['time']:%Y-%m-%d %H:%M}" if edge["time"] is not None else "fact"
    if edge["lift"] is not None:
        note += f"   lift {edge['lift']:.1f}, {edge['n_both']} together, q {_number(edge['q'])}"
    inner = _wrapped(_inner(edge), INNER[2])
    lines = max(name.count("\n") + 2, inner.count("\n") + 1)
    return Row(edge, name, note, lines * LINE + GAP)


def _inner(edge: Edge) -> str:
    """What stands between: a node, or for three hops both and how they are related."""
    return " ".join((edge["path"] or [])[2:-2])


def _wrapped(text: str, letters: int) -> str:
    lines = textwrap.wrap(text, letters) or [""]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], lines[MOST_LINES - 1][: letters - 1] + "…"]
    return "\n".join(lines)


def _group_height(group: Sequence[Row], names: Names | None) -> float:
    _, height = _target(group, names)
    return max(sum(row.height for row in group), height + GAP) + 0.2


def _target(group: Sequence[Row], names: Names | None) -> tuple[str, float]:
    """Its name as written, and how high its box is: all edges end in it side by side."""
    name = _wrapped(_name(group[0].edge["target"], names), TARGET[2])
    return name, max(_height(name), 0.09 * len(group))


def _draw_group(
    axes: Any, group: Sequence[Row], place: tuple[float, float], names: Names | None
) -> None:
    """The edges of one target, from the top on."""
    top, room = place
    middle = top + (room - 0.2) / 2
    name, height = _target(group, names)
    _box(axes, TARGET, middle, name, bold=True, height=height)
    y = top + (room - 0.2 - sum(row.height for row in group)) / 2
    for number, row in enumerate(group):
        y += row.height / 2
        _box(axes, HISTORY, y, row.name, note=row.note)
        end = middle + height * ((number + 0.5) / len(group) - 0.5)
        _draw_edge(axes, row.edge, y, end)
        y += row.height / 2


def _draw_edge(axes: Any, edge: Edge, y: float, end: float) -> None:
    colour, dash = _look(edge)
    width = 1.0 if edge["lift"] is None else min(6.0, 1.0 + math.log2(max(1.0, edge["lift"])))
    look = {"color": colour, "linestyle": dash, "linewidth": width}
    left, inner, right = HISTORY[0] + HISTORY[1], _inner(edge), TARGET[0]
    words = (edge["path"] or [None, ""])[1::2]
    if not inner:
        _arrow(axes, (right, end), (left, y), look, arrow=edge["path"] is not None)
        _word(axes, left + 0.95, y, words[0])
        return
    _box(axes, INNER, y, _wrapped(inner, INNER[2]))
    _arrow(axes, (INNER[0], y), (left, y), look, arrow=True)
    _word(axes, (left + INNER[0]) / 2, y, words[-1])
    after = INNER[0] + INNER[1]
    _arrow(axes, (right, end), (after, y), look, arrow=True)
    _word(axes, after + 0.75, y, words[0])


def _look(edge: Edge) -> tuple[str, str]:
    if edge["lift"] is None:
        return KNOWN, "--"
    return (TOGETHER, "-") if edge["path"] is None else (BOTH, "-")


def _arrow(
    axes: Any,
    start: tuple[float, float],
    end: tuple[float, float],
    look: Mapping[str, Any],
    *,
    arrow: bool,
) -> None:
    """A line that leaves and arrives level, with its head at `end`."""
    level = min(start[0], TURN)
    points = [start, ((start[0] + level) / 2, start[1]), ((start[0] + level) / 2, end[1]),
              (level, end[1]), end]  # fmt: skip
    curve = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4, Curve.LINETO])
    head = "-|>,head_length=5,head_width=2.5" if arrow else "-"
    axes.add_patch(FancyArrowPatch(path=curve, arrowstyle=head, zorder=1, **look))


def _word(axes: Any, x: float, y: float, word: str) -> None:
    if word:
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        axes.text(x, y, textwrap.fill(word, 18), size=7.5, color=INK, ha="center", va="center",
                  style="italic", zorder=2, bbox=ground)  # fmt: skip


def _box(axes: Any, column: tuple[float, float, int], y: float, text: str, **options: Any) -> None:
    """A box of a column around `text`, with an optional quiet `note` under it."""
    left, width, _ = column
    note, bold = options.get("note", ""), options.get("bold", False)
    height = options.get("height") or _height(text, note)
    axes.add_patch(
        FancyBboxPatch(
            (left, y - height / 2), width, height, boxstyle="round,pad=0,rounding_size=0.05",
            facecolor="#E8F1F8" if bold else PALE, edgecolor="#B8C0C8", linewidth=0.8, zorder=3,
        )
    )  # fmt: skip
    upper = y - (LINE / 2 if note else 0)
    axes.text(left + 0.08, upper, text, size=8.5, color=INK, va="center", zorder=4,
              weight="bold" if bold else "normal", linespacing=1.2)  # fmt: skip
    if note:
        axes.text(left + 0.08, y + height / 2 - LINE / 2 - 0.03, note, size=7, color=QUIET,
                  va="center", zorder=4)  # fmt: skip


def _height(text: str, note: str = "") -> float:
    return (text.count("\n") + 1 + bool(note)) * LINE + 0.06


def _draw_legend(axes: Any, y: float) -> None:
    x = 0.15
    for colour, dash, text in LEGEND:
        axes.add_line(Line2D([x, x + 0.4], [y, y], color=colour, linestyle=dash, linewidth=2))
        axes.text(x + 0.5, y, text, size=8, color=INK, va="center")
        x += 2.3
    told = "Lift: how many times as often together as by chance. Wider: higher lift."
    axes.text(x, y, told, size=8, color=QUIET, va="center")
