"""How fast paths of knowledge are found, against networkx, and on a graph as large as the UMLS.

    python -m benchmarks.evidence paths --graph KNOWLEDGE_FOLDER

Without a folder: a random graph of 200,000 nodes, 600,000 edges, a few nodes with many neighbours.
Pairs are 1,000 targets by 1,000 histories (20,000 in the large graph), likelier the more
neighbours a node has. networkx gets a sample of the pairs and the same edges; it knows no rules and
no limit of length, and returns one path.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import networkx as nx
import numpy as np
import polars as pl

from ehrlich.base.contracts import knowledge_schema
from ehrlich.evidence.knowledge.graph import KnowledgeGraph, read_graph
from ehrlich.evidence.paths import PathFinder
from ehrlich.evidence.relations import Relations, load_relations


def paths(folder: Path | None, *, hops: int, side: int, sample: int, large: tuple[int, int]) -> int:
    """Print the table, the peak of memory, and the ratio; the exit code.

    `side`: targets, and histories; `sample`: pairs that networkx gets; `large`: nodes and edges of
    the large graph, 0 0: none.
    """
    relations = load_relations()
    print("| graph | half edges | build s | pairs/s distances | linked | linked pairs/s paths |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    # First, so that the peak is its own.
    if large[0]:
        started = time.perf_counter()
        big = random_graph(*large, relations=relations)
        loaded = peak_gb()
        timed("large, random", big, (side, 20 * side), hops)
        print(
            f"# large: {time.perf_counter() - started:.0f} s in all; peak {peak_gb():.2f} GB, "
            f"of which the graph's own frames {loaded:.2f} GB"
        )
        del big
    graph = read_graph(folder) if folder else random_graph(200_000, 600_000, relations=relations)
    name = folder.name if folder else "random"
    finder, pairs, speed = timed(name, graph, (side, side), hops)
    against_networkx(finder, pairs.sample(sample, seed=1), speed)
    return 0


def timed(
    name: str, graph: KnowledgeGraph, sides: tuple[int, int], hops: int
) -> tuple[PathFinder, pl.DataFrame, float]:
    """One line of the table; the finder, the pairs, and distances a second."""
    started = time.perf_counter()
    finder = PathFinder.of(graph, load_relations(), max_hops=hops)
    built_s = time.perf_counter() - started
    links = finder.network.numbers.select(concept="node", node="node", via=pl.lit("exact"))
    targets, histories = (drawn(finder, side, seed) for seed, side in enumerate(sides))
    pairs = targets.rename({"concept": "target"}).join(
        histories.rename({"concept": "history"}), how="cross"
    )
    used = links.filter(
        pl.col("concept").is_in(pl.concat([targets, histories])["concept"].implode())
    )
    started = time.perf_counter()
    distances = finder.distances(pairs, used)
    speed = pairs.height / (time.perf_counter() - started)
    linked = distances.filter(pl.col("hops").is_not_null()).head(200_000)
    started = time.perf_counter()
    finder.paths(linked, used)
    each = linked.height / (time.perf_counter() - started)
    print(
        f"| {name} | {len(finder.network.source):,} | {built_s:.1f} | {speed:,.0f} "
        f"| {distances['hops'].count():,} of {pairs.height:,} | {each:,.0f} |",
        flush=True,
    )
    return finder, pairs, speed


def drawn(finder: PathFinder, count: int, seed: int) -> pl.DataFrame:
    """Concepts at random, the more neighbours the likelier: common ones are known better."""
    net = finder.network
    some = np.random.default_rng(seed).choice(net.source, 2 * count)
    numbers = pl.DataFrame({"number": some}).unique(maintain_order=True).head(count)
    known = net.numbers.with_columns(pl.col("number").cast(pl.Int32))
    return known.join(numbers, on="number").select(concept="node")


def against_networkx(finder: PathFinder, pairs: pl.DataFrame, speed: float) -> None:
    """Prints pairs a second of networkx, and how many times ours are more."""
    net = finder.network
    started = time.perf_counter()
    other = nx.Graph()
    other.add_edges_from(zip(net.source.tolist(), net.target.tolist(), strict=True))
    built_s = time.perf_counter() - started
    number = dict(net.numbers.iter_rows())
    started = time.perf_counter()
    for target, history in pairs.iter_rows():
        try:
            nx.bidirectional_shortest_path(other, number[target], number[history])
        except nx.NetworkXNoPath:
            continue
    theirs = pairs.height / (time.perf_counter() - started)
    print(f"# networkx: {theirs:,.0f} pairs/s after {built_s:.1f} s of building")
    print(f"# ours: {speed / theirs:,.0f} times as many pairs/s")


def random_graph(nodes: int, edges: int, *, relations: Relations) -> KnowledgeGraph:
    """Random heads; tails by a power law; relations that paths may use, one as often as another."""
    rng = np.random.default_rng(0)
    usable = [name for name, relation in relations.relations.items() if relation.in_paths]
    ids = pl.Series(np.arange(nodes)).cast(pl.String).str.zfill(7)
    node = pl.DataFrame(
        {"node": "n" + ids, "name": "node " + ids, "kind": "disease", "source": "random",
         "licence": "CC0-1.0", "generic": False}
    )  # fmt: skip
    head = rng.integers(0, nodes, edges)
    tail = (nodes * rng.random(edges) ** 3).astype(np.int64)
    relation = pl.Series(usable).gather(rng.integers(0, len(usable), edges))
    edge = pl.DataFrame(
        {"head": node["node"].gather(head), "relation": relation, "tail": node["node"].gather(tail),
         "source": "random", "licence": "CC0-1.0"}
    ).filter(pl.col("head") != pl.col("tail"))  # fmt: skip
    schema = knowledge_schema()
    empty = {part: pl.DataFrame(schema=schema[part]) for part in ("names", "xrefs")}
    return KnowledgeGraph(node, empty["names"], edge, empty["xrefs"], {})


def peak_gb() -> float:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
