"""Real publishers push over RTMP: what they send arrives whole, and nobody spoils it for the others."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress

import pytest
import pytest_asyncio
import structlog

from chassis.errors import FailedPrecondition
from support.rtmp import RecordingPublishers, decode_flv, ffmpeg, run_ffmpeg, source
from support.rtmp_peer import AVC_HEADER, RtmpPeer, avc_header, command, picture, read_tags, rtmp_peer
from transcoder.ingest.rtmp.limits import RtmpLimits
from transcoder.ingest.rtmp.message import Message, MessageType
from transcoder.ingest.rtmp.server import rtmp_server

HELLO = b"\x03" + bytes(1536)


@pytest.fixture
def publishers() -> RecordingPublishers:
    return RecordingPublishers()


@pytest_asyncio.fixture
async def port(publishers: RecordingPublishers) -> AsyncIterator[int]:
    async with rtmp_server("127.0.0.1", 0, publishers) as port:
        yield port


def url(port: int, name: str = "key-of-one", app: str = "live") -> str:
    return f"rtmp://127.0.0.1:{port}/{app}/{name}"


def push(
    port: int, name: str = "key-of-one", *, seconds: float = 60
) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """A publisher that sends at the pace of a camera."""
    return ffmpeg(*source(seconds, real_time=True), "-f", "flv", url(port, name))


class TestPublishers:
    async def test_every_frame_arrives(self, port: int, publishers: RecordingPublishers) -> None:
        assert await run_ffmpeg(*source(3), "-f", "flv", url(port)) == (0, "")
        session = await publishers.next_session()
        await session.ended.wait()
        flv = decode_flv(session.flv)
        assert session.demuxer == "flv"
        assert (flv.video, flv.audio, flv.frame_count) == ("h264", "aac", 90)
        assert flv.sound_s == pytest.approx(3, abs=0.05)
        assert all(before < after for before, after in itertools.pairwise(flv.times_ms))
        assert publishers.claims[0].protocol == "rtmp"
        assert publishers.claims[0].peer.startswith("127.0.0.1:")

    async def test_two_streams_do_not_mix(self, port: int, publishers: RecordingPublishers) -> None:
        results = await asyncio.gather(
            run_ffmpeg(*source(2, rate=30), "-f", "flv", url(port, "key-of-one")),
            run_ffmpeg(*source(2, rate=25), "-f", "flv", url(port, "key-of-two")),
        )
        assert tuple(results) == ((0, ""), (0, ""))
        counts = {session.stream_id: decode_flv(session.flv).frame_count for session in publishers.sessions}
        assert counts == {"one": 60, "two": 50}

    @pytest.mark.parametrize("silent", ["video", "audio"])
    async def test_one_track_is_enough(self, silent: str, port: int, publishers: RecordingPublishers) -> None:
        leave_out = {"video": "-vn", "audio": "-an"}[silent]
        assert await run_ffmpeg(*source(1), leave_out, "-f", "flv", url(port)) == (0, "")
        flv = decode_flv((await publishers.next_session()).flv)
        expected = {"video": (0, pytest.approx(1, abs=0.05)), "audio": (30, 0)}[silent]
        assert (flv.frame_count, flv.sound_s) == expected

    @pytest.mark.parametrize(
        ("codec", "encoder"),
        [
            ("hevc", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")),
            ("av1", ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1")),
            ("vp9", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")),
        ],
    )
    async def test_enhanced_rtmp_is_taken(
        self, codec: str, encoder: tuple[str, ...], port: int, publishers: RecordingPublishers
    ) -> None:
        status, _ = await run_ffmpeg(*source(1, encoder=encoder), "-f", "flv", url(port))
        flv = decode_flv((await publishers.next_session()).flv)
        assert (status, flv.video, flv.frame_count) == (0, codec, 30)

    async def test_opus_is_taken(self, port: int, publishers: RecordingPublishers) -> None:
        assert await run_ffmpeg(*source(1), "-c:a", "libopus", "-f", "flv", url(port)) == (0, "")
        flv = decode_flv((await publishers.next_session()).flv)
        assert (flv.audio, flv.frame_count) == ("opus", 30)
        assert flv.sound_s == pytest.approx(1, abs=0.05)

    async def test_killed_publisher_ends_its_session(
        self, port: int, publishers: RecordingPublishers
    ) -> None:
        async with push(port) as publisher:
            session = await publishers.next_session()
            await session.began.wait()
            publisher.kill()
            async with asyncio.timeout(20):
                await session.ended.wait()
        async with push(port):  # and comes back
            again = await publishers.next_session()
            await again.began.wait()

    async def test_frozen_publisher_is_given_up(self, publishers: RecordingPublishers) -> None:
        async with (
            rtmp_server("127.0.0.1", 0, publishers, RtmpLimits(idle_timeout_s=0.5)) as port,
            push(port) as publisher,
        ):
            session = await publishers.next_session()
            await session.began.wait()
            publisher.send_signal(signal.SIGSTOP)
            async with asyncio.timeout(20):
                await session.ended.wait()


class TestNames:
    @pytest.mark.parametrize(
        ("path", "stream", "take_over"),
        [
            ("live/key-of-one", "", False),
            ("anything/key-of-one", "", False),
            ("key-of-one", "", False),
            ("live/one/key-of-one", "one", False),
            ("live/key-of-one?take_over=1", "", True),
            ("live/one/key-of-one?take_over=true", "one", True),
        ],
    )
    async def test_key_is_found_in_the_url(
        self, path: str, stream: str, *, take_over: bool, port: int, publishers: RecordingPublishers
    ) -> None:
        target = f"rtmp://127.0.0.1:{port}/{path}"
        assert await run_ffmpeg(*source(0.2), "-f", "flv", target) == (0, "")
        (claim,) = publishers.claims
        assert (claim.stream_key, claim.stream_id, claim.take_over) == ("key-of-one", stream, take_over)


class TestRefusals:
    async def test_wrong_key_ends_the_publisher_with_an_error(
        self, port: int, publishers: RecordingPublishers
    ) -> None:
        status, words = await run_ffmpeg(*source(1), "-f", "flv", url(port, "wrong"))
        assert status != 0
        assert "no stream has this key" in words
        assert publishers.sessions == []

    async def test_second_publisher_is_told_that_there_is_one(
        self, port: int, publishers: RecordingPublishers
    ) -> None:
        async with push(port) as first:
            session = await publishers.next_session()
            await session.began.wait()
            status, words = await run_ffmpeg(*source(1), "-f", "flv", url(port))
            assert status != 0
            assert "another publisher feeds the stream" in words
            assert first.returncode is None
            assert not session.ended.is_set()

    async def test_take_over_ends_the_first_publisher_with_an_error(
        self, port: int, publishers: RecordingPublishers
    ) -> None:
        async with push(port) as first:
            session = await publishers.next_session()
            await session.began.wait()
            status = await run_ffmpeg(*source(1), "-f", "flv", url(port, "key-of-one?take_over=1"))
            assert status == (0, "")
            async with asyncio.timeout(20):
                _, words = await first.communicate()
            assert first.returncode not in {0, None}
            assert b"another publisher took the stream over" in words

    async def test_stopped_stream_ends_its_publisher(
        self, port: int, publishers: RecordingPublishers
    ) -> None:
        async with push(port) as publisher:
            session = await publishers.next_session()
            await session.began.wait()
            session.failure.set_exception(FailedPrecondition("the stream was stopped"))
            async with asyncio.timeout(20):
                _, words = await publisher.communicate()
            assert publisher.returncode not in {0, None}
            assert b"the stream was stopped" in words

    async def test_nobody_plays(self, port: int, publishers: RecordingPublishers) -> None:
        status, words = await run_ffmpeg("-i", url(port), "-f", "null", "-")
        assert status != 0
        assert "over HLS" in words
        assert publishers.claims == []

    async def test_slow_stream_is_not_waited_for(self, publishers: RecordingPublishers) -> None:
        publishers.may_admit.clear()
        limits = RtmpLimits(admit_timeout_s=0.2)
        async with rtmp_server("127.0.0.1", 0, publishers, limits) as port:
            status, words = await run_ffmpeg(*source(1), "-f", "flv", url(port))
            assert status != 0
            assert "could not be opened in time" in words


class TestBackPressure:
    async def test_slow_session_slows_its_publisher_and_loses_nothing(
        self, publishers: RecordingPublishers
    ) -> None:
        frames = [picture(40 * number, bytes([number]) * 400_000) for number in range(100)]
        limits = RtmpLimits(held_bytes=10_000)
        async with rtmp_server("127.0.0.1", 0, publishers, limits) as port, rtmp_peer(port) as peer:
            await peer.connect()
            await peer.publish()
            session = await publishers.next_session()
            session.may_take.clear()
            sending = asyncio.create_task(send_all(peer, [avc_header(), *frames]))
            done, _ = await asyncio.wait([sending], timeout=1)
            assert not done  # 40 MB do not fit into the sockets on the way
            session.may_take.set()
            await sending
            await peer.send(command("FCUnpublish", 4, None, "key-of-one"))
            assert await peer.hear_status() == "NetStream.Unpublish.Success"
            await session.ended.wait()
        _, *sent = read_tags(session.flv)
        assert [body for _, _, body in sent] == [frame.body for frame in frames]

    async def test_as_much_is_held_as_is_allowed(self, publishers: RecordingPublishers) -> None:
        frames = [avc_header(), *(picture(40 * number, bytes(400_000)) for number in range(50))]
        limits = RtmpLimits(held_bytes=25_000_000)
        async with rtmp_server("127.0.0.1", 0, publishers, limits) as port, rtmp_peer(port) as peer:
            await peer.connect()
            await peer.publish()
            session = await publishers.next_session()
            session.may_take.clear()
            async with asyncio.timeout(20):
                await send_all(peer, frames)
            session.may_take.set()

    async def test_session_that_takes_nothing_is_given_up(self, publishers: RecordingPublishers) -> None:
        limits = RtmpLimits(held_bytes=1000, stall_timeout_s=0.3)
        async with rtmp_server("127.0.0.1", 0, publishers, limits) as port, push(port) as publisher:
            session = await publishers.next_session()
            await session.began.wait()
            session.may_take.clear()
            async with asyncio.timeout(10):
                await publisher.wait()
            session.may_take.set()
            await session.ended.wait()


class TestStop:
    async def test_sessions_end_with_what_came(self, publishers: RecordingPublishers) -> None:
        async with AsyncExitStack() as server:
            port = await server.enter_async_context(rtmp_server("127.0.0.1", 0, publishers))
            async with push(port) as publisher:
                session = await publishers.next_session()
                await session.began.wait()
                await server.aclose()
                assert session.ended.is_set()
                async with asyncio.timeout(20):
                    _, words = await publisher.communicate()
                assert publisher.returncode not in {0, None}
                assert b"connect again" in words

    async def test_session_that_does_not_end_is_broken_off(self, publishers: RecordingPublishers) -> None:
        async with AsyncExitStack() as server:
            limits = RtmpLimits(stop_timeout_s=0.2)
            port = await server.enter_async_context(rtmp_server("127.0.0.1", 0, publishers, limits))
            async with push(port):
                session = await publishers.next_session()
                await session.began.wait()
                session.may_take.clear()
                async with asyncio.timeout(20):
                    await server.aclose()
                assert session.ended.is_set()


class TestConversation:
    async def test_one_connection_may_publish_again(self, port: int, publishers: RecordingPublishers) -> None:
        async with rtmp_peer(port) as peer:
            await peer.connect()
            for name, stream in (("key-of-one", "one"), ("key-of-two", "two")):
                assert await peer.publish(name) == "NetStream.Publish.Start"
                session = await publishers.next_session()
                await send_all(peer, [avc_header(), picture(0, b"first")])
                await peer.send(command("deleteStream", 0, None, 1))
                assert await peer.hear_status() == "NetStream.Unpublish.Success"
                await session.ended.wait()
                assert session.stream_id == stream
                assert [body[5:] for _, _, body in read_tags(session.flv)] == [AVC_HEADER[5:], b"first"]

    async def test_codec_that_nobody_reads_is_refused_by_name(
        self, port: int, publishers: RecordingPublishers
    ) -> None:
        async with rtmp_peer(port) as peer:
            await peer.connect()
            await peer.publish()
            await peer.send(Message(kind=MessageType.VIDEO, stream=1, body=b"\x90vvc2" + bytes(20)))
            info = (await peer.hear("onStatus"))[3]
            assert isinstance(info, dict)
            assert info["code"] == "NetStream.Publish.Rejected"
            assert "'vvc2' is not taken" in str(info["description"])
            with pytest.raises(EOFError):
                await peer.receive()
        assert (await publishers.next_session()).ended.is_set()

    async def test_pings_and_windows_are_answered(self, port: int) -> None:
        async with rtmp_peer(port) as peer:
            await peer.connect()
            assert await peer.publish() == "NetStream.Publish.Start"
            await peer.send(Message(kind=MessageType.USER_CONTROL, body=bytes.fromhex("0006 01020304")))
            await hear_kind(peer, MessageType.USER_CONTROL, bytes.fromhex("0007 01020304"))
            await peer.send(Message(kind=MessageType.WINDOW_SIZE, body=(100_000).to_bytes(4)))
            await send_all(peer, [avc_header(), picture(0, bytes(100_000))])
            await hear_kind(peer, MessageType.ACKNOWLEDGEMENT)

    async def test_unpublished_while_stopped_session_ends_cleanly(
        self, port: int, publishers: RecordingPublishers
    ) -> None:
        async with rtmp_peer(port) as peer:
            await peer.connect()
            await peer.publish()
            session = await publishers.next_session()
            session.failure.set_exception(FailedPrecondition("the stream was stopped"))
            assert await peer.hear_status() == "NetStream.Publish.Rejected"


class TestLimits:
    async def test_long_message_ends_the_publication(self, publishers: RecordingPublishers) -> None:
        limits = RtmpLimits(message_bytes=5_000)
        async with rtmp_server("127.0.0.1", 0, publishers, limits) as port, rtmp_peer(port) as peer:
            await peer.connect()
            await peer.publish()
            session = await publishers.next_session()
            await send_all(peer, [avc_header(), picture(0, bytes(4_000)), picture(40, bytes(5_000))])
            async with asyncio.timeout(20):
                await session.ended.wait()
            assert [len(body) for _, _, body in read_tags(session.flv)][1:] == [4_005]

    async def test_long_talk_before_publish_is_cut_off(self, publishers: RecordingPublishers) -> None:
        limits = RtmpLimits(command_bytes=5_000)
        async with rtmp_server("127.0.0.1", 0, publishers, limits) as port, rtmp_peer(port) as peer:
            await peer.connect()
            await send_all(peer, [command("FCPublish", 0, None, "x" * 1_000)] * 6)
            with pytest.raises((EOFError, ConnectionError)):
                async with asyncio.timeout(20):
                    while await peer.receive():
                        pass

    async def test_peer_that_does_not_listen_is_given_up(self, publishers: RecordingPublishers) -> None:
        limits = RtmpLimits(send_timeout_s=0.2)
        ping = Message(kind=MessageType.USER_CONTROL, body=bytes.fromhex("0006 00000000"))
        async with rtmp_server("127.0.0.1", 0, publishers, limits) as port, rtmp_peer(port, 4096) as peer:
            await peer.connect()
            await peer.publish()
            session = await publishers.next_session()
            with suppress(ConnectionError):
                await send_all(peer, [ping] * 20_000)
            async with asyncio.timeout(20):
                await session.ended.wait()


class TestHostile:
    async def test_reset_is_an_ordinary_end(self, publishers: RecordingPublishers) -> None:
        with structlog.testing.capture_logs() as logs:
            async with rtmp_server("127.0.0.1", 0, publishers) as port, rtmp_peer(port) as peer:
                await peer.connect()
                await peer.publish()
                session = await publishers.next_session()
                await send_all(peer, [avc_header(), picture(0, b"whole")])
                await session.began.wait()
                peer.reset()
                async with asyncio.timeout(20):
                    await session.ended.wait()
        (line,) = logs
        assert (line["event"], line["log_level"]) == ("rtmp connection ended", "info")
        assert line["received_bytes"] > 0

    async def test_who_only_connects_is_no_news(self, publishers: RecordingPublishers) -> None:
        """As health checks do, every few seconds."""
        with structlog.testing.capture_logs() as logs:
            async with rtmp_server("127.0.0.1", 0, publishers) as port:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                async with asyncio.timeout(20):
                    while not logs:  # noqa: ASYNC110 - a log is no event
                        await asyncio.sleep(0.01)
        (line,) = logs
        assert (line["event"], line["log_level"]) == ("rtmp connection ended", "debug")

    async def test_publisher_that_breaks_the_protocol_ends_its_session(
        self, port: int, publishers: RecordingPublishers
    ) -> None:
        async with rtmp_peer(port) as peer:
            await peer.connect()
            await peer.publish()
            session = await publishers.next_session()
            await send_all(peer, [avc_header(), picture(0, b"whole")])
            await session.began.wait()
            await peer.send_bytes(b"\xff" * 10_000)
            async with asyncio.timeout(20):
                await session.ended.wait()
        assert [body[5:] for _, _, body in read_tags(session.flv)][1:] == [b"whole"]

    @pytest.mark.parametrize(
        "attack",
        [
            b"GET / HTTP/1.1\r\nHost: weir\r\n\r\n",
            os.urandom(100_000),
            HELLO + bytes(1536) + os.urandom(100_000),
            HELLO + bytes(1536) + bytes.fromhex("03 000000 ffffff 14 00000000") + bytes(1000),
            HELLO + bytes(1536) + bytes.fromhex("02 000000 000004 01 00000000 00000001"),
            HELLO + bytes(1536) + bytes.fromhex("03 000000 000004 14 00000000 00000001"),
            HELLO + bytes(1536) + bytes.fromhex("04 000000 001000 09 00000000") + bytes(1 << 20),
        ],
        ids=[
            "http",
            "noise",
            "noise behind a handshake",
            "16 MB command",
            "tiny chunks",
            "no amf",
            "early media",
        ],
    )
    async def test_attacker_is_cut_off_at_once(self, attack: bytes, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            writer.write(attack)
            await writer.drain()
        async with asyncio.timeout(20):
            with suppress(ConnectionError):
                while await reader.read(1 << 16):
                    pass
        writer.close()

    @pytest.mark.parametrize("sent", [b"", b"\x03", HELLO[:700], HELLO, HELLO + bytes(1536)])
    async def test_who_says_nothing_is_cut_off(self, sent: bytes, publishers: RecordingPublishers) -> None:
        limits = RtmpLimits(handshake_timeout_s=0.2, publish_timeout_s=0.2)
        async with rtmp_server("127.0.0.1", 0, publishers, limits) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            async with asyncio.timeout(20):
                await reader.read()
            writer.close()

    async def test_crowd_of_silent_peers_does_not_keep_a_publisher_out(
        self, publishers: RecordingPublishers
    ) -> None:
        limits = RtmpLimits(connection_count=10, handshake_timeout_s=60)
        async with rtmp_server("127.0.0.1", 0, publishers, limits) as port:
            crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
            async with push(port):
                session = await publishers.next_session()
                await session.began.wait()
                crowd += [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
                await session.wait_for_more()
                assert not session.ended.is_set()
            for _, writer in crowd:
                writer.close()

    async def test_more_publishers_than_allowed_are_turned_away(
        self, publishers: RecordingPublishers
    ) -> None:
        limits = RtmpLimits(connection_count=1)
        async with rtmp_server("127.0.0.1", 0, publishers, limits) as port, push(port):
            session = await publishers.next_session()
            await session.began.wait()
            status, _ = await run_ffmpeg(*source(1), "-f", "flv", url(port, "key-of-two"))
            assert status != 0
            assert not session.ended.is_set()

    async def test_attacks_do_not_disturb_a_publisher(
        self, port: int, publishers: RecordingPublishers
    ) -> None:
        async with push(port, seconds=4) as publisher:
            session = await publishers.next_session()
            while publisher.returncode is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                with suppress(ConnectionError):
                    writer.write(HELLO + bytes(1536) + os.urandom(20_000))
                    await writer.drain()
                    await reader.read()
                writer.close()
            await session.ended.wait()
        assert decode_flv(session.flv).frame_count == 120


async def send_all(peer: RtmpPeer, messages: Iterable[Message]) -> None:
    for message in messages:
        await peer.send(message)


async def hear_kind(peer: RtmpPeer, kind: MessageType, body: bytes | None = None) -> None:
    """Wait for a message of a kind, and if wished of a body."""
    async with asyncio.timeout(10):
        message = await peer.receive()
        while message.kind != kind or body not in {None, message.body}:
            message = await peer.receive()
