"""How many hops part the concepts of a shard: products of sparse matrices, all pairs at once.

A hop by one class of step may be followed only by some classes at some nodes, so the matrices are
kept apart by class: that is what makes the distances obey the rules exactly.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from ehrlich.evidence.network import Array, Network

FAR = 255
CELLS_AT_ONCE = 32_000_000


def hops_between(
    net: Network, targets: sparse.csr_matrix, *, histories: sparse.csr_matrix, max_hops: int
) -> Iterator[tuple[int, Array]]:
    """(first row, hops[target, history]) of blocks of targets; FAR where more than `max_hops`.

    `targets` and `histories` are concepts by nodes: True where the concept is linked to the node.
    """
    endings = histories.T.tocsr()
    last = _last_hops(net, endings) if max_hops > 1 else []
    block = max(1, CELLS_AT_ONCE // max(1, histories.shape[0]))
    for row in range(0, targets.shape[0], block):
        some = targets[row : row + block]
        hops = np.full((some.shape[0], histories.shape[0]), FAR, np.uint8)
        _mark(hops, some @ endings, 0)
        if max_hops > 0:
            reached = _first_hops(net, some)
            for step in reached:
                _mark(hops, step @ endings, 1)
            for number in range(2, max_hops + 1):
                for step, ending in zip(reached, last, strict=True):
                    _mark(hops, step @ ending, number)
                if number < max_hops:
                    reached = _next_hops(net, reached, last)
        yield row, hops


def _mark(hops: Array, found: sparse.csr_matrix, number: int) -> None:
    pairs = found.tocoo()
    nearer = hops[pairs.row, pairs.col] > number
    hops[pairs.row[nearer], pairs.col[nearer]] = number


def _edges(net: Network, chosen: Array) -> sparse.csr_matrix:
    """Half edges of these numbers as a matrix, nodes by nodes."""
    ends = (net.source[chosen], net.target[chosen])
    return sparse.csr_matrix((np.ones(len(chosen), bool), ends), shape=(net.nodes, net.nodes))


def _first_hops(net: Network, targets: sparse.csr_matrix) -> list[sparse.csr_matrix]:
    """For each class of step: targets by the nodes that one such step leads to."""
    leaving = half_edges_of(net, np.unique(targets.indices))
    kinds = net.step_class[net.step[leaving]]
    return [targets @ _edges(net, leaving[kinds == kind]) for kind in _all_classes(net)]


def _last_hops(net: Network, endings: sparse.csr_matrix) -> list[sparse.csr_matrix]:
    """For each class of step in: inner nodes by the histories one allowed step further."""
    ends = np.flatnonzero(np.diff(endings.indptr))
    arriving = net.back[half_edges_of(net, ends)]
    arriving = arriving[net.inner[net.source[arriving]]]
    return [
        _edges(net, arriving[_may_follow(net, kind, arriving)]) @ endings
        for kind in _all_classes(net)
    ]


def _next_hops(
    net: Network, reached: list[sparse.csr_matrix], last: list[sparse.csr_matrix]
) -> list[sparse.csr_matrix]:
    """For each class of step: targets by the nodes that one more allowed step leads to.

    Only to nodes from which a last hop is possible.
    """
    near = np.zeros(net.nodes, bool)
    for step in reached:
        near[step.indices] = True
    ends = np.zeros(net.nodes, bool)
    for ending in last:
        ends |= np.diff(ending.indptr) > 0
    between = np.flatnonzero((near & net.inner)[net.source] & ends[net.target])
    kinds = net.step_class[net.step[between]]
    found = []
    for kind in _all_classes(net):
        chosen = between[kinds == kind]
        steps = [
            step @ _edges(net, chosen[_may_follow(net, before, chosen)])
            for before, step in enumerate(reached)
        ]
        found.append(sum(steps[1:], start=steps[0]).tocsr())
    return found


def _may_follow(net: Network, kind: int, edges: Array) -> Array:
    """Which half edges may follow a step of this class."""
    after = net.step_class[net.step[edges]]
    return np.asarray(net.allowed_class[net.place[net.source[edges]], kind, after])


def _all_classes(net: Network) -> range:
    return range(net.allowed_class.shape[1])


def half_edges_of(net: Network, nodes: Array) -> Array:
    """Numbers of the half edges that leave these nodes, node by node."""
    first = net.first[nodes]
    return spans(first, net.first[nodes + 1] - first)


def spans(first: Array, lengths: Array) -> Array:
    """first, first + 1, ... of each span, one after the other."""
    total = int(lengths.sum())
    begins = np.cumsum(lengths) - lengths
    return np.repeat(first - begins, lengths) + np.arange(total, dtype=np.int64)
