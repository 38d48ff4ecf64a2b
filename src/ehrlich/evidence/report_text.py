"""The report as Markdown: tables, and what each means in a sentence or two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
RESEARCH = (
    "For research only. An edge is a co-occurrence or somebody's statement, not a cause; nothing "
    "here is medical advice."
)
LIFT = (
    "Fitted on train {unit}s. Lift: how many times as often together as independence within strata "
    "of context size would give. Chance: the same policy on answers as permuted between {unit}s "
    "within strata (20 nulls; 95% of them in brackets). Best by chance: median lift of as many "
    "pairs, those of the least p of each null."
)
HOPS = (
    "Of pairs of a true answer and a history concept that co-occurrence ties, the share whose "
    "shortest allowed path has so many hops; a pair counts once a subject. Chance: the same "
    "targets, each history swapped for another concept of the task, of the same kind (such as "
    "lab or drug), that about as many {unit}s hold and that the policy does not tie to the "
    "target. In brackets 95% intervals of a patient bootstrap; the fit and the draws of "
    "controls are held fixed, so real uncertainty is wider. Each pair counts at its shortest "
    "path only: where many are near, fewer are left to be far."
)
REACHED = (
    "Share of cases' true answers for which any co-occurring history concept of the case is within "
    "so many hops, against its histories swapped as above. High shares by chance are why a share "
    "alone says nothing."
)
LINKED = (
    "Concepts that have a node in the knowledge graph, and a node with an edge that paths may use; "
    "as a share of distinct concepts, and weighted by measurements. A link is looked up, not "
    "guessed, so it has no control; reaching a node is not being right, and says nothing of what "
    "lies behind it: see the tables above."
)


def report_text(report: Row) -> str:
    """The report, as `write_report` made it, in Markdown."""
    unit = report["policy"]["unit"]
    parts = ["# Evidence, beside chance", _about(report), RESEARCH]
    parts += ["## Lift", LIFT.format(unit=unit), _lift(report["lift"])]
    if "hops" not in report:
        parts.append("No medical knowledge was given: there are no paths to judge.")
        return "\n\n".join(parts) + "\n"
    parts += ["## Paths by hops", HOPS.format(unit=unit), _hops(report["hops"], "Pairs", "pairs")]
    parts += ["![Share of pairs by hops, against chance](hops.png)", _left_out(report)]
    parts += ["## Paths by task", _by_task(report["hops_by_task"])]
    parts += ["## Answers with a history in reach", REACHED]
    parts.append(_hops(report["target_coverage"], "Answers", "targets", within="at most "))
    parts += ["## What is linked to knowledge", LINKED, _linked(report["linked"])]
    parts += ["## Whose knowledge the drawn paths are", _sources(report["sources"])]
    return "\n\n".join(parts) + "\n"


def _about(report: Row) -> str:
    return (
        f"Evidence {report['evidence']} (data use: {report['data_use']}); seed {report['seed']}, "
        f"{report['replicates']:,} replicates."
    )


def _lift(rows: Sequence[Row]) -> str:
    head = ("Task", "Units", "Pairs tested", "Kept", "Kept by chance", "Median lift",
            "Median lift by chance", "Best by chance")  # fmt: skip
    return _table(
        head,
        (
            (
                row["task"], f"{row['units']:,}", f"{row['tested']:,}", f"{row['kept']:,}",
                _ranged(row, "null_kept", "{:,.1f}"), _number(row["median_lift"], "{:.2f}"),
                _ranged(row, "null_median_lift", "{:.2f}"),
                _ranged(row, "best_by_chance", "{:.2f}"),
            )
            for row in rows
        ),
    )  # fmt: skip


def _hops(rows: Sequence[Row], what: str, n: str, *, within: str = "") -> str:
    return _table(
        ("Hops", what, "Share", "By chance", "Times as often", "Reading"),
        ((f"{within}{row['hops']}", f"{row[n]:,}", *_compared(row), reading(row)) for row in rows),
    )


def _by_task(rows: Sequence[Row]) -> str:
    if not rows:
        return "No task has a pair to judge."
    return _table(
        ("Task", "Hops", "Pairs", "Share", "By chance", "Times as often", "Reading"),
        (
            (row["task"], row["hops"], f"{row['pairs']:,}", *_compared(row), reading(row))
            for row in rows
        ),
    )


def reading(row: Row) -> str:
    """What the interval of the ratio says."""
    if row["ratio"] is None:
        return "cannot be compared"
    if row["ratio_low"] is not None and row["ratio_low"] > 1:
        return "more often than chance"
    if row["ratio_high"] is not None and row["ratio_high"] < 1:
        return "less often than chance"
    return "not told from chance"


def _compared(row: Row) -> tuple[str, str, str]:
    share, control = (
        _ranged({name: _percent(value) for name, value in row.items()}, side, "{:.1f}", "%")
        for side in ("share", "control")
    )
    return share, control, _ranged(row, "ratio", "{:.2f}")


def _percent(value: Any) -> Any:
    return 100 * value if isinstance(value, float) else value


def _left_out(report: Row) -> str:
    left, matching = report["left_out"], report["matching"]
    ratio = matching["support_ratio"]
    support = ""
    if ratio["median"] is not None:
        support = (
            f" Support of a control over that of its history: median {ratio['median']:.2f}, "
            f"90% between {ratio['p5']:.2f} and {ratio['p95']:.2f}."
        )
    return (
        f"Compared: {left['compared']:,} edges of {left['subjects']:,} subjects. Left out, as "
        f"comparing them would flatter: {left['self']:,} edges of a concept to itself; "
        f"{left['cut']:,} of targets with more edges than a graph has room for, which prefers "
        f"those with a path; and {left['labels']:,} of labels, of which no knowledge speaks. "
        f"Distinct pairs: {matching['pairs']:,}, of which {matching['unmatched']:,} found no "
        f"control; {matching['draws']} draws each.{support}"
    )


def _linked(rows: Sequence[Row]) -> str:
    return _table(
        ("Kind", "Concepts", "With a node", "With a usable edge", "Measurements",
         "With a node, weighted", "With a usable edge, weighted"),
        (
            (
                row["kind"], f"{row['concepts']:,}", _share(row["linked"]), _share(row["telling"]),
                f"{row['measurements']:,}", _share(row["linked_weighted"]),
                _share(row["telling_weighted"]),
            )
            for row in rows
        ),
    )  # fmt: skip


def _sources(rows: Sequence[Row]) -> str:
    if not rows:
        return "No drawn path has a hop."
    head = ("Source (licence)", "Hops in drawn graphs")
    return _table(head, ((row["source"], f"{row['hops']:,}") for row in rows))


def _share(value: float | None) -> str:
    return _number(None if value is None else 100 * value, "{:.1f}%")


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else form.format(value)


def _ranged(row: Row, name: str, form: str, sign: str = "") -> str:
    """Such as `2.9% [2.3, 3.8]`."""
    if row[name] is None:
        return "none"
    low, high = (_number(row[f"{name}_{end}"], form) for end in ("low", "high"))
    return f"{_number(row[name], form)}{sign} [{low}, {high}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(text.replace('|', '/') for text in row)} |" for row in lines)
