"""What `weir backup` writes, `weir restore` brings back: streams, ledger, viewers, and work that goes on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from weir.distributor.v1 import distributor_pb2 as api
from weir.timeline.v1 import timeline_pb2 as pb

from support.distributor import msns_of, open_writer, rendition, running_distributor, segment, watch_until
from support.nats import NatsServer, running_nats
from weir_cli.backup import BackupFailed, backup, open_nats, read_letters, restore


def weir(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    command = [sys.executable, "-m", "weir_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


async def messages_of(server: NatsServer) -> dict[str, int]:
    async with open_nats(server.url) as client:
        streams = await client.jetstream().streams_info()
    return {stream.config.name or "": stream.state.messages for stream in streams}


LONG_S = 3600  # nobody leaves for being silent while this is tried


async def test_a_backup_comes_back_into_an_empty_nats(nats_server: NatsServer, tmp_path: Path) -> None:
    folder = str(tmp_path / "backup")
    async with running_distributor(nats_server.url, session_timeout_s=LONG_S) as distributor:
        writer = await open_writer(distributor.timeline)
        await writer.append(rendition(), *(segment(msn) for msn in range(200)))
        joined = await distributor.distribution.JoinStream(
            api.JoinStreamRequest(stream_id="film", viewer_id="ann")
        )
        sample = api.DeliverySample(
            stream_id="film", session_id=joined.session_id, segments_count=3, size_bytes=700
        )
        report = api.ReportDeliveriesRequest(gateway="g", report_number=1, samples=[sample])
        await distributor.distribution.ReportDeliveries(iter([report]))
    held = await messages_of(nats_server)
    written = weir("backup", folder, "--nats", nats_server.url)
    assert written.returncode == 0, written.stderr
    nats_server.stop()

    with running_nats(tmp_path / "other") as other:
        restored = weir("restore", folder, "--nats", other.url)
        assert restored.returncode == 0, restored.stderr
        assert await messages_of(other) == held
        async with running_distributor(other.url, session_timeout_s=LONG_S) as distributor:
            request = pb.WatchRequest(stream_id="film")
            seen = await watch_until(distributor.timeline, request, sequence=writer.sequence)
            assert msns_of(seen) == list(range(200))
            writer.timeline = distributor.timeline
            last = await writer.append(segment(200))
            rest = pb.WatchRequest(stream_id="film", after_sequence=last - 1)
            assert msns_of(await watch_until(distributor.timeline, rest, sequence=last)) == [200]
            left = await distributor.distribution.LeaveStream(
                api.LeaveStreamRequest(stream_id="film", viewer_id="ann")
            )
            assert left.session_id == joined.session_id
            assert (left.segments_received, left.bytes_received) == (3, 700)


async def test_what_is_there_is_never_written_over(nats_server: NatsServer, tmp_path: Path) -> None:
    folder, told = tmp_path / "backup", list[str]()
    async with running_distributor(nats_server.url) as distributor:
        await open_writer(distributor.timeline)
    held = await messages_of(nats_server)
    async with open_nats(nats_server.url) as client:
        await backup(client, folder, told.append)
        assert len(told) == len(held)
        with pytest.raises(BackupFailed, match="holds a backup already"):
            await backup(client, folder, told.append)
        with pytest.raises(BackupFailed, match="there already"):
            await restore(client, folder, told.append)
    assert await messages_of(nats_server) == held


async def test_a_backup_that_broke_off_is_none(nats_server: NatsServer, tmp_path: Path) -> None:
    folder, told = tmp_path / "backup", list[str]()
    async with running_distributor(nats_server.url), open_nats(nats_server.url) as client:
        (folder / f"{max(await messages_of(nats_server))}.snapshot").mkdir(parents=True)  # cannot be written
        with pytest.raises(OSError, match="directory"):
            await backup(client, folder, told.append)
        assert told
        with pytest.raises(BackupFailed, match="holds no backup"):
            await restore(client, folder, told.append)


async def test_a_server_that_goes_away_is_named_at_once(nats_server: NatsServer, tmp_path: Path) -> None:
    """Not only when an answer is overdue, a minute later."""
    async with asyncio.timeout(20):
        with pytest.raises(BackupFailed, match=nats_server.url):
            async with open_nats(nats_server.url) as client:
                nats_server.kill()
                await backup(client, tmp_path / "backup", print)


async def test_a_server_that_goes_away_between_two_answers_is_named(nats_server: NatsServer) -> None:
    async with asyncio.timeout(20):
        with pytest.raises(BackupFailed, match=nats_server.url):
            async with open_nats(nats_server.url):
                nats_server.kill()
                await asyncio.Event().wait()


async def test_whoever_is_stopped_is_not_told_of_a_server(nats_server: NatsServer) -> None:
    with pytest.raises(asyncio.CancelledError):
        async with open_nats(nats_server.url):
            raise asyncio.CancelledError


def test_a_folder_without_a_backup_is_refused(nats_server: NatsServer, tmp_path: Path) -> None:
    answer = weir("restore", str(tmp_path), "--nats", nats_server.url)
    assert (answer.returncode, "holds no backup" in answer.stderr) == (1, True)


async def test_what_was_given_up_can_be_read(nats_server: NatsServer) -> None:
    told: list[str] = []
    async with running_distributor(nats_server.url), open_nats(nats_server.url) as client:
        await read_letters(client, told.append)
        assert told == []
        for edge in ("a", "b", "c"):
            await client.jetstream().publish("weir.dead.deliveries.film", json.dumps({"edge": edge}).encode())
        await client.jetstream().delete_msg("WEIR_DEAD_DELIVERIES", 2)
        await read_letters(client, told.append)
    assert [json.loads(letter)["edge"] for letter in told] == ["a", "c"]
