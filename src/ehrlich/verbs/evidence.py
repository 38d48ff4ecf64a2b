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
    tasks: Annotated[
        Path | None, typer.Option("--tasks", help="Folder with tasks of your own.")
    ] = None,
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
    from ehrlich.evidence.config import EvidenceConfig
    from ehrlich.evidence.run import Inputs, plan, run

    config = EvidenceConfig(
        policy=policy, knowledge=knowledge, relations=relations, max_hops=max_hops,
        candidates=candidates, notes=notes, tasks_folder=tasks, seed=seed, limit=limit,
        workers=cores(workers), resume=resume, fresh=fresh, quiet=quiet,
    )  # fmt: skip
    inputs = Inputs(charts, cases)
    manifest = plan(config, inputs, out) if dry_run else run(config, inputs, out)
    report(manifest, out, as_json=json, quiet=quiet, dry_run=dry_run)
