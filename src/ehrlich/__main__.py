"""One door: `ehrlich VERB`. A folder is imported only when its verb is called."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ehrlich import __version__
from ehrlich.base.errors import ConfigError, EhrlichError, InterruptError
from ehrlich.verbs.evidence import app as evidence_app
from ehrlich.verbs.options import (
    DryRun,
    Fresh,
    Json,
    Limit,
    Out,
    Quiet,
    Resume,
    Seed,
    Workers,
    cores,
    echo_json,
    report,
)
from ehrlich.verbs.prompts import app as prompts_app

app = typer.Typer(
    name="ehrlich",
    help="Electronic health records into language models that reason, measured honestly.\n\n"
    "Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Policy = Literal["strict", "compat"]

tasks_app = typer.Typer(
    name="tasks",
    help="The clinical questions: list, show, check, export.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(tasks_app)
app.add_typer(evidence_app)
app.add_typer(prompts_app)

OwnTasks = Annotated[
    Path | None, typer.Option("--tasks", help="Folder with tasks and suites of your own.")
]


@app.callback(invoke_without_command=True)
def _about(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def hospital(
    out: Out,
    patients: Annotated[int, typer.Option("--patients", min=1, help="Patients to make.")] = 1000,
    seed: Seed = 0,
    defects: Annotated[
        bool, typer.Option("--defects", help="Add the dirt of real exports, and count it.")
    ] = False,
    limit: Limit = None,
    workers: Workers = None,
    dry_run: DryRun = False,
    resume: Resume = False,
    fresh: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a synthetic hospital in MIMIC-IV 3.1 layout, with the truth beside it."""
    from ehrlich.charts.hospital import HospitalConfig, plan, run

    config = HospitalConfig(
        patients=patients,
        seed=seed,
        defects=defects,
        limit=limit,
        workers=cores(workers),
        resume=resume,
        fresh=fresh,
        quiet=quiet,
    )
    manifest = plan(config) if dry_run else run(config, out)
    report(manifest, out, as_json=json, quiet=quiet, dry_run=dry_run)


@app.command()
def read(
    source: Annotated[Path, typer.Argument(help="Folder of the records.")],
    out: Out,
    dictionary: Annotated[
        str, typer.Option("--dictionary", help="auto, a shipped name, or your own YAML file.")
    ] = "auto",
    policy: Annotated[
        Policy, typer.Option("--policy", help="strict: what was known when; compat: as released.")
    ] = "strict",
    maps: Annotated[
        Path | None, typer.Option("--maps", help="Folder with your ATC or CCS tables.")
    ] = None,
    splits: Annotated[
        Path | None, typer.Option("--splits", help="subject_splits.parquet to keep.")
    ] = None,
    seed: Seed = 0,
    limit: Limit = None,
    workers: Workers = None,
    memory_gb: Annotated[
        float, typer.Option("--memory-gb", min=1, help="Peak memory of all processes together.")
    ] = 4.0,
    dry_run: DryRun = False,
    resume: Resume = False,
    fresh: Fresh = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Records of any hospital into one timeline (charts, valid MEDS)."""
    from ehrlich.charts.readers import ReadConfig, plan_read, read_source

    config = ReadConfig(
        dictionary=dictionary, policy=policy, maps=maps, splits=splits, salt=seed, limit=limit,
        workers=cores(workers), memory_gb=memory_gb, resume=resume, fresh=fresh, quiet=quiet,
    )  # fmt: skip
    manifest = plan_read(config, source) if dry_run else read_source(config, source, out)
    report(manifest, out, as_json=json, quiet=quiet, dry_run=dry_run)


@app.command()
def cases(
    charts: Annotated[Path, typer.Argument(help="Folder that `ehrlich read` wrote.")],
    out: Out,
    suite: Annotated[
        str, typer.Option("--suite", help="ehr_bench, ehr_bench_compat, all, or your own.")
    ] = "ehr_bench",
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Only this task; may be repeated.")
    ] = None,
    tasks: OwnTasks = None,
    audit: Annotated[
        bool, typer.Option("--audit", help="Then probe the cases for leaks; exit code 2 if any.")
    ] = False,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Cases of another suite to compare with.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Folder for MEDS labels of the risk tasks.")
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
    """A timeline and a suite of tasks into cases: time, context, answer or label."""
    from ehrlich.charts.timeline import Charts
    from ehrlich.cohorts.run import CasesConfig, manifest_of, plan_cases, run

    config = CasesConfig(
        suite=suite, tasks=tuple(task or ()), tasks_folder=tasks, limit=limit, seed=seed,
        workers=cores(workers), resume=resume, fresh=fresh, quiet=quiet,
    )  # fmt: skip
    if dry_run:
        read_charts = Charts(charts)
        manifest = manifest_of(config, read_charts, plan=plan_cases(config, read_charts))
    else:
        manifest = run(config, charts, out)
    report(manifest, out, as_json=json, quiet=quiet, dry_run=dry_run)
    if dry_run:
        return
    if not (json or quiet):
        from ehrlich.cohorts.counted import cases_table

        typer.echo(cases_table(manifest.counts))
    _after_cases(charts, out, audit=audit, compare_with=compare, labels=labels)


def _after_cases(
    charts: Path, out: Path, *, audit: bool, compare_with: Path | None, labels: Path | None
) -> None:
    """What `ehrlich cases` does with finished cases when asked."""
    if labels is not None:
        from ehrlich.cohorts.labels import write_labels

        for task, rows in write_labels(out, labels).items():
            typer.echo(f"labels of {task}: {rows:,}")
    if compare_with is not None:
        from ehrlich.cohorts.compare import compare, compare_text

        typer.echo(compare_text(compare(out, compare_with)))
    if audit:
        from ehrlich.charts.timeline import Charts
        from ehrlich.cohorts.leakage import audit as probe
        from ehrlich.cohorts.leakage import audit_text

        found = probe(out, Charts(charts))
        typer.echo(audit_text(found))
        if (found["verdict"] == "leak").any():
            raise typer.Exit(code=2)


@app.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(help="A source, or charts; none: this environment.")
    ] = None,
    dictionary: Annotated[str, typer.Option("--dictionary", help="As for read.")] = "auto",
    json: Json = False,
) -> None:
    """Say what a folder holds, what is missing and what that costs; validate charts."""
    from ehrlich.charts.check import check_environment, check_folder

    found = check_environment() if folder is None else check_folder(folder, dictionary)
    if json:
        echo_json(found.as_json())
    else:
        typer.echo(found.as_text())
    if found.problems:
        raise typer.Exit(code=2)


@tasks_app.command("list")
def list_tasks(tasks: OwnTasks = None) -> None:
    """Every task in a line."""
    from ehrlich.cohorts.describe import list_text
    from ehrlich.cohorts.task import load_suite, load_tasks

    typer.echo(list_text(load_tasks(tasks), load_suite("ehr_bench").headline))


@tasks_app.command("show")
def show_task(
    task: Annotated[str, typer.Argument(help="Name of the task.")], tasks: OwnTasks = None
) -> None:
    """One task in words: asked of whom, when, from what, and what it is not."""
    from ehrlich.cohorts.describe import show_text
    from ehrlich.cohorts.task import chosen, load_tasks

    typer.echo(show_text(chosen(load_tasks(tasks), [task])[0]))


@tasks_app.command("check")
def check_tasks(
    tasks: OwnTasks = None,
    charts: Annotated[
        Path | None, typer.Option("--charts", help="Charts to probe for leaks as well.")
    ] = None,
) -> None:
    """Run every task's examples, its gold answers through the scorer, and its leakage probes."""
    from ehrlich.cohorts.soundness import check_all

    found = check_all(tasks, charts)
    typer.echo(found.as_text())
    if found.problems:
        raise typer.Exit(code=2)


@tasks_app.command("export")
def export_task(
    task: Annotated[str, typer.Argument(help="Name of a risk task.")],
    format: Annotated[str, typer.Option("--format", help="aces")] = "aces",
    dictionary: Annotated[str, typer.Option("--dictionary", help="Whose predicates.")] = "mimic_iv",
    tasks: OwnTasks = None,
) -> None:
    """A risk task for another tool, as YAML on standard output."""
    from ehrlich.charts.readers.dictionary import load_dictionary
    from ehrlich.cohorts.aces import to_aces
    from ehrlich.cohorts.task import chosen, load_tasks

    if format != "aces":
        raise ConfigError("unknown --format", got=format, expected="aces")
    predicates = load_dictionary(dictionary).predicates
    typer.echo(to_aces(chosen(load_tasks(tasks), [task])[0], predicates))


@tasks_app.command("docs")
def tasks_docs() -> None:
    """docs/tasks.md on standard output."""
    from ehrlich.cohorts.describe import docs_markdown
    from ehrlich.cohorts.task import load_suite, load_tasks

    typer.echo(docs_markdown(load_tasks(), load_suite("ehr_bench").headline), nl=False)


def main() -> None:
    """Run the verb; an error of the user's input is one sentence and exit code 2."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except EhrlichError as exc:
        typer.echo(f"ehrlich: {exc}", err=True)
        sys.exit(exc.exit_code)


def _interrupt(*_: object) -> None:
    raise InterruptError("interrupted", do="Run the same again with --resume to go on.")


if __name__ == "__main__":
    main()
