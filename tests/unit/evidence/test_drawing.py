"""A case's graph as text and as a picture."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from matplotlib.patches import FancyBboxPatch

from ehrlich.base.contracts import graphs_schema
from ehrlich.base.errors import ConfigError, DataError
from ehrlich.evidence import drawing
from ehrlich.evidence.drawing import as_text, draw

PNG = b"\x89PNG"
LONG = "chronic disease of the named organ with several complications " * 4


def edge(target: str, history: str, rank: int, **more: Any) -> dict[str, Any]:
    empty = dict.fromkeys(graphs_schema())
    told = {"case_id": "c1", "event": 4, "row_id": 9, "time": datetime(2150, 3, 1, 7, 15),
            "conditioned": True, "subject_id": 1}  # fmt: skip
    return {**empty, **told, "target": target, "history": history, "rank": rank, **more}


LIFT = {"n_both": 12, "lift": 3.44, "p": 1e-6, "q": 2e-5}
PATH = {
    "path": ["ccs//failure", "is treated by", "furosemide", "treats", "lab//x"],
    "hops": 2,
    "sources": ["Source (CC0-1.0)", "Source (CC0-1.0)"],
}


def graph(*edges: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(edges, schema=graphs_schema())


WHOLE = graph(
    edge("ccs//failure", "lab//x", 1, **LIFT, **PATH),
    edge("ccs//failure", "lab//creatinine//high", 2, **LIFT),
    edge("ccs//stroke", "drug//aspirin", 1, time=None, event=None,
         path=["ccs//stroke", "is treated by", "drug//aspirin"], hops=1, sources=["A (CC0-1.0)"]),
)  # fmt: skip
NAMES = {"ccs//failure": "heart failure", "lab//x": "sodium"}


def test_the_text_says_what_how_strong_when_and_who_says_so() -> None:
    assert as_text(WHOLE, names=NAMES, width=120) == (
        "Case c1: true answers (training only)\n"
        "├─ heart failure\n"
        "│  ├─ 1. sodium\n"
        "│  │     last seen 2150-03-01 07:15, event 4\n"
        "│  │     together in 12, 3.4 times as often as by chance (q 2e-05)\n"
        "│  │     known: heart failure is treated by furosemide, furosemide treats sodium"
        " [Source (CC0-1.0)]\n"
        "│  └─ 2. creatinine high\n"
        "│        last seen 2150-03-01 07:15, event 4\n"
        "│        together in 12, 3.4 times as often as by chance (q 2e-05)\n"
        "└─ stroke\n"
        "   └─ 1. aspirin\n"
        "         last seen at no time (a fact)\n"
        "         known: stroke is treated by aspirin [A (CC0-1.0)]"
    )


def test_long_names_are_wrapped_in_text() -> None:
    rows = graph(edge("ccs//failure", "lab//x", 1, **PATH))
    text = as_text(rows, names={"ccs//failure": LONG}, width=60)
    known = text.splitlines()[4:]
    assert len(known) > 3
    assert max(map(len, known)) <= 60


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_picture_is_written_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "new" / f"graph.{kind}"
    draw(WHOLE, path, names=NAMES)
    content = path.read_bytes()
    assert content.startswith(PNG) if kind == "png" else b"</svg>" in content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_no_box_or_word_lies_on_another() -> None:
    edges = [
        edge(f"ccs//{LONG if target == 1 else target}", f"lab//{LONG if rank % 3 else rank}", rank,
             **(LIFT if rank % 2 else {}),
             path=[None, ["t", "is an adverse effect of", "h"],
                   ["t", "calls for the procedure", LONG, "has the complication", "h"]][rank % 3],
             sources=[])
        for target in range(3) for rank in range(1, 11)
    ]  # fmt: skip
    figure = drawing._figure(edges, None)
    figure.canvas.draw()
    axes = figure.axes[0]
    words = [text.get_window_extent() for text in axes.texts]
    for number, one in enumerate(words):
        assert figure.bbox.x0 <= one.x0 <= one.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= one.y0 <= one.y1 <= figure.bbox.y1
        assert not any(one.overlaps(other) for other in words[number + 1 :])
    boxes = [
        patch.get_window_extent() for patch in axes.patches
        if isinstance(patch, FancyBboxPatch)
    ]  # fmt: skip
    assert len(boxes) == 30 + 9 + 3
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])
    for word in words:
        # A word is inside a box, or outside all of them.
        over = [box for box in boxes if box.overlaps(word)]
        assert all(box.x0 <= word.x0 and word.x1 <= box.x1 for box in over)


def test_what_cannot_be_drawn_is_one_sentence(tmp_path: Path) -> None:
    two = pl.concat([WHOLE, WHOLE.with_columns(case_id=pl.lit("c2"))])
    with pytest.raises(DataError, match="one case; got 2 cases"):
        as_text(two)
    with pytest.raises(DataError, match="one case; got 0 cases"):
        draw(WHOLE.clear(), tmp_path / "graph.svg")
    with pytest.raises(ConfigError, match=r"got graph.jpg; expected .svg or .png"):
        draw(WHOLE, tmp_path / "graph.jpg")
