"""`weir run`: one suite from its first process to its last."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from weir_cli import programs
from weir_cli.client import ApiError, open_client
from weir_cli.config import RunConfig, inherited_environment
from weir_cli.logs import Journal
from weir_cli.plan import Plan, Programs, Wishes, count_replicas, plan_suite
from weir_cli.ports import explain_taken, find_taken
from weir_cli.sample import show_sample
from weir_cli.supervisor import Supervisor

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotRun(Exception):
    """Something on this machine is in the way; the message says what, and what to do."""


def find_programs() -> Programs:
    """Find what the wheels of this environment brought."""
    return Programs(
        python=sys.executable,
        nats_server=programs.nats_server_path(),
        envoy=programs.envoy_path(),
        envoy_config=programs.envoy_config_path().read_text(),
        descriptors=programs.descriptors_path(),
    )


def plan_run(config: RunConfig, environment: Mapping[str, str]) -> Plan:
    """Plan the suite that the settings ask for."""
    wishes = Wishes(
        port=config.port,
        data=config.data.absolute(),
        replicas=count_replicas(config.replicas),
        storage_url=config.storage_url,
        environment=environment,
        log_format=config.log_format,
    )
    return plan_suite(wishes, find_programs())


async def run(config: RunConfig, *, verbose: bool = False) -> None:
    """Run the suite until SIGINT, SIGTERM or SIGHUP; a second signal ends it at once.

    Raises:
        CannotRun: A port or the data folder is taken.
        StartFailed: The suite did not come up.
    """
    plan = plan_run(config, inherited_environment())
    with sole_use(plan.data):
        require_readable(plan)
        if taken := find_taken(plan):
            raise CannotRun(explain_taken(taken, port=config.port))
        journal = Journal(plan.logs, sys.stderr, verbose=verbose)
        supervisor = Supervisor(plan, journal)
        with _signals(supervisor) as asked_to_stop:
            try:
                await _until(asked_to_stop, _serve(plan, supervisor, journal, demo=config.demo))
            finally:
                journal.say("stopping")
                await supervisor.stop()
                journal.close()


async def _serve(plan: Plan, supervisor: Supervisor, journal: Journal, *, demo: bool) -> None:
    journal.say(f"starting {len(plan.processes)} processes; their logs are in {plan.logs}")
    await supervisor.start()
    print(f"ready {plan.url}", flush=True)  # noqa: T201 - the line that scripts wait for
    if demo:
        await _show_sample(plan, journal)


async def _show_sample(plan: Plan, journal: Journal) -> None:
    """Show the sample; the suite is useful without it."""

    def show(url: str) -> None:
        print(f"watch {url}", flush=True)  # noqa: T201 - see `ready`

    try:
        async with open_client(plan.url) as client:
            await show_sample(client, programs.ffmpeg_path(), journal.say, show)
    except ApiError as error:
        journal.say(f"no sample: {error}")


async def _until(asked_to_stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do the work and then wait for the event; when the event comes first, give the work up."""
    working = asyncio.create_task(work)
    asked = asyncio.create_task(asked_to_stop.wait())
    try:
        await asyncio.wait([working, asked], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        await asked
    finally:
        working.cancel()
        asked.cancel()
        await asyncio.gather(working, asked, return_exceptions=True)


@contextmanager
def _signals(supervisor: Supervisor) -> Iterator[asyncio.Event]:
    """Turn the first signal into an event, and let the next one kill."""
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heed() -> None:
        if asked_to_stop.is_set():
            supervisor.kill()
        asked_to_stop.set()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, heed)
    try:
        yield asked_to_stop
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)


def require_readable(plan: Plan) -> None:
    """Keep a suite away from what another kind of it stored.

    Raises:
        CannotRun: A single NATS server cannot read what three have stored, nor the other way round.
    """
    if plan.other_nats_store.exists() and not plan.nats_store.exists():
        servers, others = ("three NATS servers", "one") if plan.is_clustered else ("one NATS server", "three")
        raise CannotRun(
            f"{plan.data} was filled by a suite with {others}, which {servers} cannot read; "
            "choose another folder by WEIR_DATA, or run as many REPLICAS as before (1, or more than 1)"
        )


@contextmanager
def sole_use(data: Path) -> Iterator[None]:
    """Keep a second suite away from the data folder.

    Raises:
        CannotRun: Another suite has it.
    """
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(f"another suite runs on {data}; give this one its own by WEIR_DATA") from None
        yield
