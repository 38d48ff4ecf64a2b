"""A picture of the hop table: how often a path is found, and how often by chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ehrlich.base.errors import ConfigError
from ehrlich.base.store import write_aside

# Of Okabe and Ito's palette; the marks differ too.
REAL, CONTROL, INK, QUIET = "#0072B2", "#D55E00", "#1A1A1A", "#5A5A5A"
SIDES = (
    ("share", REAL, "o", -0.13, "pairs that occur together"),
    ("control", CONTROL, "D", 0.13, "random pairs of the same support"),
)
SAID = {"0": "0 hops\n(the same node)", "1": "1 hop"}


def draw_hops(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a dot and an interval for each row of a hop table; png or svg by the ending of `path`.

    Rows without a share are left out.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("svg", "png"):
        raise ConfigError("no picture of this kind", got=path.name, expected=".svg or .png")
    figure = _figure([row for row in rows if row["share"] is not None])
    # Without the date the same table gives the same file.
    told = {"Date": None} if kind == "svg" else {}
    with write_aside(path) as aside:
        figure.savefig(aside, format=kind, dpi=150, facecolor="white", metadata=told)


def _figure(rows: Sequence[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(8.4, 1.9 + 0.78 * max(1, len(rows))), layout="constrained")
    axes = figure.add_subplot()
    for figure_of, colour, mark, shift, said in SIDES:
        places = [place + shift for place in range(len(rows))]
        values = [100 * row[figure_of] for row in rows]
        ends = [
            [100 * max(0.0, row[figure_of] - row[f"{figure_of}_low"]) for row in rows],
            [100 * max(0.0, row[f"{figure_of}_high"] - row[figure_of]) for row in rows],
        ]
        axes.errorbar(
            values, places, xerr=ends, fmt=mark, color=colour, markersize=7, capsize=3.5,
            elinewidth=1.8, label=said,
        )  # fmt: skip
    most = max(
        (100 * row[end] for row in rows for end in ("share_high", "control_high")), default=1
    )
    most = max(most, 0.1)
    for place, row in enumerate(rows):
        axes.text(most * 1.06, place, _ratio(row), size=9.5, color=INK, va="center")
    axes.text(most * 1.06, -0.62, "Times as often (95%)", size=9, color=QUIET, va="center")
    axes.set_yticks(
        range(len(rows)), [SAID.get(row["hops"], f"{row['hops']} hops") for row in rows]
    )
    axes.set_ylim(len(rows) - 0.5, -0.85)
    axes.set_xlim(-0.02 * most, most * 1.42)
    axes.set_xlabel("Share of pairs with such a shortest path (%)", color=INK)
    axes.xaxis.set_ticks([tick for tick in axes.get_xticks() if 0 <= tick <= most * 1.02])
    axes.grid(axis="x", color="#E3E6EA", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title("Paths in medical knowledge, against chance", loc="left", size=12, weight="bold")
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9.5)
    return figure


def _ratio(row: dict[str, Any]) -> str:
    if row["ratio"] is None:
        return "no control has one" if row["share"] else "none"
    low, high = row["ratio_low"], row["ratio_high"]
    upper = "∞" if high is None else f"{high:.2f}"
    return f"{row['ratio']:.2f} [{low:.2f}, {upper}]" if low is not None else f"{row['ratio']:.2f}"
