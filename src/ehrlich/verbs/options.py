"""Flags that all verbs share, what they print, and a verb that has a default sub-verb."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from ehrlich.base.store import Manifest

Out = Annotated[Path, typer.Option("--out", help="Folder to write.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only that many subjects.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")]
Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Go on with an unfinished run in --out.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Replace what --out holds.")]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same bytes.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes; default: every core.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar, no summary.")]


class RunByDefault(TyperGroup):
    """`ehrlich VERB ARGUMENTS` is `ehrlich VERB run ARGUMENTS`, unless a sub-verb is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` first where no sub-verb stands."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


def cores(asked: int | None) -> int:
    """Processes to use: as asked, or every core."""
    from ehrlich.base.parallel import available_cores

    return asked or available_cores()


def report(manifest: Manifest, out: Path, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Print what a step did, as JSON or in a few lines."""
    if as_json:
        from dataclasses import asdict

        echo_json(asdict(manifest))
    elif not quiet:
        from ehrlich.base.summary import summary

        typer.echo(summary(manifest, out, dry_run=dry_run))


def echo_json(value: Any) -> None:
    """Print a value as indented JSON."""
    import json

    typer.echo(json.dumps(value, indent=2, default=str))
