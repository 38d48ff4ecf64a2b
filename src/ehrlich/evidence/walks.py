"""Every path of a given length between two nodes: neighbours are met in the middle, all at once."""

from __future__ import annotations

import numpy as np

from ehrlich.evidence.network import Array, Network
from ehrlich.evidence.reach import spans

Ends = tuple[Array, Array]
"""(where each question starts, where it ends): numbers of nodes."""
Walks = tuple[Array, Array]
"""(which question each walk answers, its half edges in order: walks by hops)."""


def walks_between(net: Network, ends: Ends, *, hops: int) -> Walks:
    """All allowed walks of so many `hops` (1, 2, 3) from where each question starts to its end.

    Between nodes that are no nearer by an allowed path, no node is visited twice.
    """
    start, end = ends
    if hops == 1:
        asked, edge = _joining(net, start, end)
        return asked, edge[:, None]
    # The next node is looked for from the side with fewer neighbours.
    from_end = net.degree[end] < net.degree[start]
    parts = []
    for turned, here, there in ((False, start, end), (True, end, start)):
        asked = np.flatnonzero(from_end == turned)
        walk, edges = _walks_from(net, (here[asked], there[asked]), hops=hops)
        # A walk from the end, read the other way round.
        parts.append((asked[walk], net.back[edges[:, ::-1]] if turned else edges))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _walks_from(net: Network, ends: Ends, *, hops: int) -> Walks:
    start, end = ends
    asked, edge = _leaving(net, start)
    inner = net.inner[net.target[edge]]
    asked, edge = asked[inner], edge[inner]
    rest, edges = walks_between(net, (net.target[edge], end[asked]), hops=hops - 1)
    asked, edge = asked[rest], edge[rest]
    middle = net.place[net.target[edge]]
    allowed = net.allowed[middle, net.step[edge], net.step[edges[:, 0]]]
    return asked[allowed], np.column_stack([edge, edges])[allowed]


def _leaving(net: Network, start: Array) -> tuple[Array, Array]:
    """(index into `start`, half edge) of every half edge that leaves."""
    first = net.first[start]
    lengths = net.first[start + 1] - first
    return np.repeat(np.arange(len(start)), lengths), spans(first, lengths)


def _joining(net: Network, start: Array, end: Array) -> tuple[Array, Array]:
    """(index into `start`, half edge) of every half edge straight from start[i] to end[i]."""
    # Looked up among the neighbours of the end: they lie together, and `start` comes sorted for it.
    pair = end.astype(np.int64) * net.nodes + start
    first = np.searchsorted(net.pair, pair)
    found = np.flatnonzero(net.pair[np.minimum(first, len(net.pair) - 1)] == pair)
    first = first[found]
    lengths = np.searchsorted(net.pair, pair[found], side="right") - first
    return np.repeat(found, lengths), net.back[spans(first, lengths)]


def cost_of(net: Network, ends: Ends, *, hops: int) -> Array:
    """About how many half edges are looked at for each question."""
    start, end = ends
    if hops == 1:
        return np.ones(len(start), np.int64)
    fewer = np.minimum(net.degree[start], net.degree[end]).astype(np.int64) + 1
    return np.asarray(fewer if hops == 2 else fewer * 40)
