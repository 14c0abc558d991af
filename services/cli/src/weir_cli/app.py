"""The commands of `weir`, their options, and how their failures are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from nats.aio.client import Client
from pydantic import ValidationError
from rich.console import Console

from weir_cli import backup as backups
from weir_cli import runner, uploader
from weir_cli.client import ApiError
from weir_cli.config import RunConfig
from weir_cli.plan import nats_url
from weir_cli.supervisor import StartFailed

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Weir: adaptive HLS streaming.")


@app.command()
def run(
    replicas: Annotated[int | None, typer.Option(min=1, max=9, help="Processes of each service.")] = None,
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every line of the services.")
    ] = False,
) -> None:
    """Run the whole suite on this machine until Ctrl-C.

    WEIR_PORT moves the public port (8080) and all others with it, WEIR_DATA the data folder (.weir),
    WEIR_DEMO=0 leaves the sample out.

    `ready URL` is printed when the suite answers, `watch URL` when the sample plays.
    """
    try:
        config = _config(replicas)
        asyncio.run(runner.run(config, verbose=verbose))
    except (runner.CannotRun, StartFailed) as error:
        _fail(str(error))


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A video or audio file.")],
    recording_id: Annotated[str, typer.Option("--id", help="Wanted id; one is made if none is given.")] = "",
    title: Annotated[str, typer.Option(help="Human title; the file's name if none is given.")] = "",
    url: Annotated[str, typer.Option(help="The suite.")] = "",
) -> None:
    """Upload a file, transcode it, and print where to watch it."""
    try:
        url = url or f"http://127.0.0.1:{_config(None).port}"
        asyncio.run(uploader.upload(file, url=url, recording_id=recording_id, title=title))
    except ApiError as error:
        _fail(str(error))


NatsUrl = Annotated[str, typer.Option("--nats", help="NATS servers; the local suite's if none are given.")]
TlsFolder = Annotated[Path | None, typer.Option("--tls", help="Folder with tls.crt, tls.key and ca.crt.")]


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Where to write; made if missing.")],
    nats: NatsUrl = "",
    tls: TlsFolder = None,
) -> None:
    """Write everything that NATS keeps into a folder; storage is backed up after it, by its own means."""
    _with_nats(nats, tls, lambda client: backups.backup(client, folder, print))


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="What `backup` has written.")],
    nats: NatsUrl = "",
    tls: TlsFolder = None,
    replicas: Annotated[int | None, typer.Option(min=1, max=5, help="Copies from now on.")] = None,
) -> None:
    """Bring a backup into a NATS that has nothing of it; do it before the services start."""
    _with_nats(nats, tls, lambda client: backups.restore(client, folder, print, replicas=replicas))


@app.command()
def letters(nats: NatsUrl = "", tls: TlsFolder = None) -> None:
    """Show the deliveries that were given up, the newest last, one line of JSON each."""
    _with_nats(nats, tls, lambda client: backups.read_letters(client, print))


def main() -> None:
    """Run the command line."""
    app()


def _with_nats(url: str, tls: Path | None, work: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        async with backups.open_nats(url or nats_url(_config(None).port), tls) as client:
            await work(client)

    try:
        asyncio.run(run())
    except (backups.BackupFailed, OSError) as error:
        _fail(str(error))


def _config(replicas: int | None) -> RunConfig:
    try:
        return RunConfig() if replicas is None else RunConfig(replicas=replicas)
    except ValidationError as error:
        wrong = error.errors()[0]
        _fail(f"WEIR_{str(wrong['loc'][0]).upper()} is {wrong['input']!r}: {wrong['msg']}")


def _fail(message: str) -> NoReturn:
    terminal = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    terminal.print(f"weir: {message}", style="bold red")
    raise typer.Exit(1)
