"""`ehrlich prompts`: cases into charts and messages; `show` prints one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ehrlich.verbs.options import (
    DryRun,
    Fresh,
    Json,
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
    name="prompts",
    help="Cases into charts that a model reads, and messages: CHARTS CASES, or show.",
    cls=RunByDefault,
    no_args_is_help=True,
    rich_markup_mode=None,
)

Candidates = Literal["none", "frequent", "oracle"]


@app.command("run")
def run_prompts(
    charts: Annotated[Path, typer.Argument(help="Folder that `ehrlich read` wrote.")],
    cases: Annotated[Path, typer.Argument(help="Folder that `ehrlich cases` wrote.")],
    out: Out,
    style: Annotated[
        str, typer.Option("--style", help="ehrlich, compat, or your own YAML file.")
    ] = "ehrlich",
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", help="chart-8k, a model's folder, or none.")
    ] = "chart-8k",
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Of a whole prompt; default: no cut.")
    ] = None,
    chat: Annotated[
        str, typer.Option("--chat", help="Chat policy: qwen3, suffix, plain, ..., or a file.")
    ] = "qwen3",
    thinking: Annotated[
        bool, typer.Option("--thinking", help="Messages that ask for reasoning, without reply.")
    ] = False,
    candidates: Annotated[
        Candidates, typer.Option("--candidates", help="Names to choose from; oracle: with truth.")
    ] = "none",
    instructions: Annotated[
        Path | None, typer.Option("--instructions", help="Questions by task, or released rows.")
    ] = None,
    token_ids: Annotated[
        bool, typer.Option("--token-ids", help="Keep token ids of blocks, for training.")
    ] = False,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Rows name the subject and the stay.")
    ] = False,
    seed: Seed = 0,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Cases of each task and shard.")
    ] = None,
    workers: Workers = None,
    dry_run: DryRun = False,
    resume: Resume = False,
    fresh: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write EHR-Ins (messages) and EHR-Bench (released keys), with their cards."""
    from ehrlich.cohorts.finished import Inputs
    from ehrlich.prompts.config import PromptsConfig
    from ehrlich.prompts.run import plan, run

    config = PromptsConfig(
        style=style, tokenizer=tokenizer, max_tokens=max_tokens, chat=chat, thinking=thinking,
        candidates=candidates, instructions=instructions, token_ids=token_ids,
        keep_ids=keep_ids, seed=seed, limit=limit, workers=cores(workers), resume=resume,
        fresh=fresh, quiet=quiet,
    )  # fmt: skip
    inputs = Inputs(charts, cases)
    manifest = plan(config, inputs) if dry_run else run(config, inputs, out)
    report(manifest, out, as_json=json, quiet=quiet, dry_run=dry_run)


@app.command("released")
def read_released_rows(
    file: Annotated[Path, typer.Argument(help="Released rows: .jsonl, or .jsonl.gz.")],
    out: Out,
    split: Annotated[
        str, typer.Option("--split", help="Of all its rows: train, tuning, held_out, unknown.")
    ] = "unknown",
    chat: Annotated[str, typer.Option("--chat", help="Chat policy.")] = "released_train",
    fresh: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Rows that were released, as they are, into messages to train or evaluate on."""
    from ehrlich.prompts.released_run import ReleasedConfig, run_released

    manifest = run_released(ReleasedConfig(split=split, chat=chat, fresh=fresh), file, out)
    report(manifest, out, as_json=json, quiet=quiet, dry_run=False)


@app.command("show")
def show_prompt(
    case: Annotated[str, typer.Argument(help="case_id.")],
    prompts: Annotated[
        Path, typer.Option("--prompts", help="Folder that `ehrlich prompts` wrote.")
    ],
) -> None:
    """One prompt, its answer, and what was hidden or cut."""
    from ehrlich.prompts.show import show_text

    typer.echo(show_text(prompts, case))


@app.command("statistics")
def show_statistics(
    prompts: Annotated[Path, typer.Argument(help="Folder that `ehrlich prompts` wrote.")],
) -> None:
    """Tokens a prompt, by task, as a Markdown table."""
    from ehrlich.prompts.statistics import read_statistics, statistics_table

    typer.echo(statistics_table(read_statistics(prompts)))
