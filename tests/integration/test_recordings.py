"""Recordings with real NATS, storage and probe: created, filled, listed, deleted; bad input refused."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.api import httpbody_pb2
from weir.transcoder.v1 import transcoder_pb2 as pb

from chassis import errors
from chassis.grpc_client import peer_errors
from support.distributor import running_distributor
from support.media import Media, Picture, Sound, make_media, run_ffmpeg
from support.nats import NatsServer
from support.transcoder import (
    Transcoder,
    running_pair,
    small_film,
    transcoder_process,
    until,
    upload_messages,
)

STILL = Picture(width=64, height=36, count=30)


@pytest.fixture
async def transcoder(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Transcoder]:
    async with running_pair(nats_server.url, tmp_path / "objects", upload_limit_bytes=4_000_000) as replica:
        yield replica


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small_film(tmp_path_factory.mktemp("film"), seconds=2.0).read_bytes()


async def refusal(call: Awaitable[Any]) -> errors.WeirError:
    """Make a call that must fail; answers how it did."""
    with pytest.raises(errors.WeirError) as caught:
        async with peer_errors():
            await call
    return caught.value


async def get(transcoder: Transcoder, recording_id: str = "film") -> pb.Recording:
    request = pb.GetRecordingRequest(recording_id=recording_id)
    recording: pb.Recording = await transcoder.recordings.GetRecording(request)
    return recording


async def becomes(transcoder: Transcoder, state: pb.Recording.State.ValueType) -> None:
    """Wait for a state of the recording."""

    async def has() -> bool:
        return (await get(transcoder)).state == state

    await until(has)


async def test_an_upload_is_probed_and_told(transcoder: Transcoder, film: bytes) -> None:
    created = await transcoder.create(title="A film")
    assert (created.state, created.title, created.watch_url) == (pb.Recording.CREATED, "A film", "")
    recording = await transcoder.upload(film)
    assert recording.state == pb.Recording.READY
    assert (recording.width_pixels, recording.height_pixels, recording.frame_rate) == (160, 90, 30.0)
    assert (recording.video_codec, recording.audio_codec) == ("h264", "aac")
    assert recording.duration_s == pytest.approx(2.0, abs=0.1)
    assert recording.size_bytes == len(film)
    assert recording.sha256 == hashlib.sha256(film).hexdigest()
    assert await get(transcoder) == recording


async def test_an_id_is_made_when_none_is_given(transcoder: Transcoder) -> None:
    made = {(await transcoder.create("")).recording_id for _ in range(3)}
    assert len(made) == 3


async def test_a_taken_id_is_refused(transcoder: Transcoder) -> None:
    await transcoder.create()
    assert isinstance(await refusal(transcoder.create()), errors.AlreadyExists)


async def test_a_repeated_request_finds_its_recording(transcoder: Transcoder) -> None:
    first = await transcoder.create("", request_id="a-1")
    assert await transcoder.create("", request_id="a-1") == first
    named = await transcoder.create("film", request_id="a-2")
    assert await transcoder.create("film", request_id="a-2") == named
    assert isinstance(await refusal(transcoder.create("film", request_id="a-3")), errors.AlreadyExists)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"recording_id": "../etc"}, "recording_id"),
        ({"recording_id": "streams"}, "recording_id"),
        ({"recording_id": "a" * 64}, "recording_id"),
        ({"title": "x" * 201}, "title"),
        ({"title": "a\nb"}, "title"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"source_url": "file:///etc/passwd"}, "source_url"),
        ({"source_url": "http://127.0.0.1/film.mp4"}, "source_url"),
        ({"source_url": "http://localhost/film.mp4"}, "source_url"),
        ({"source_url": "http://a..b/film.mp4"}, "source_url"),
    ],
)
async def test_bad_fields_are_refused_by_name(
    transcoder: Transcoder, fields: dict[str, str], word: str
) -> None:
    error = await refusal(transcoder.create(**{"recording_id": "film", **fields}))
    assert isinstance(error, errors.InvalidArgument)
    assert word in error.message
    assert transcoder.stored() == set()


async def test_a_declared_length_makes_an_upload_whole_without_a_last_message(
    transcoder: Transcoder, film: bytes
) -> None:
    await transcoder.create()
    messages = upload_messages(film, last=False, declared_size_bytes=len(film))
    assert (await transcoder.recordings.UploadSource(messages)).state == pb.Recording.READY


async def test_what_envoy_declares_counts(transcoder: Transcoder, film: bytes) -> None:
    await transcoder.create()
    header = (("x-declared-length", str(len(film) + 1)),)
    call = transcoder.recordings.UploadSource(upload_messages(film, last=False), metadata=header)
    assert (await refusal(call)).reason == "UPLOAD_INCOMPLETE"
    header = (("x-declared-length", str(len(film))),)
    whole = transcoder.recordings.UploadSource(upload_messages(film, last=False), metadata=header)
    assert (await whole).state == pb.Recording.READY


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ((1000, {"declared_size_bytes": 2000}, True), "UPLOAD_INCOMPLETE"),
        ((1000, {"declared_size_bytes": 999}, True), "UPLOAD_INCOMPLETE"),
        ((1000, {}, False), "LENGTH_REQUIRED"),
        ((1000, {"sha256": "0" * 64}, True), "SHA256_DIFFERS"),
        ((0, {}, True), "EMPTY_SOURCE"),
        ((1000, {"declared_size_bytes": 4_000_001}, True), "SOURCE_TOO_LARGE"),
    ],
)
async def test_an_upload_that_is_not_whole_leaves_nothing(
    transcoder: Transcoder, film: bytes, sent: tuple[int, dict[str, Any], bool], reason: str
) -> None:
    keep, first, last = sent
    await transcoder.create()
    messages = upload_messages(film[:keep], last=last, **first)
    error = await refusal(transcoder.recordings.UploadSource(messages))
    assert (type(error), error.reason) == (errors.InvalidArgument, reason)
    assert transcoder.stored() == set()
    assert (await get(transcoder)).state == pb.Recording.CREATED


async def test_a_rest_body_without_length_is_refused_at_once(transcoder: Transcoder, film: bytes) -> None:
    await transcoder.create()
    from_rest = (("x-envoy-original-method", "PUT"),)
    call = transcoder.recordings.UploadSource(upload_messages(film), metadata=from_rest)
    assert (await refusal(call)).reason == "LENGTH_REQUIRED"


async def test_a_source_above_the_limit_is_refused_while_it_comes(transcoder: Transcoder) -> None:
    await transcoder.create()
    error = await refusal(transcoder.upload(bytes(4_100_000)))
    assert error.reason == "SOURCE_TOO_LARGE"
    assert transcoder.stored() == set()


async def test_a_client_that_dies_in_mid_upload_leaves_nothing(transcoder: Transcoder, film: bytes) -> None:
    await transcoder.create()
    call = transcoder.recordings.UploadSource()
    await call.write(pb.UploadSourceRequest(recording_id="film"))
    await call.write(pb.UploadSourceRequest(body=httpbody_pb2.HttpBody(data=film[:1000])))
    await becomes(transcoder, pb.Recording.UPLOADING)
    call.cancel()
    await becomes(transcoder, pb.Recording.CREATED)
    assert transcoder.stored() == set()
    assert (await transcoder.upload(film)).state == pb.Recording.READY


async def test_a_silent_upload_is_given_up(nats_server: NatsServer, tmp_path: Path, film: bytes) -> None:
    async with running_pair(nats_server.url, tmp_path / "objects", upload_silence_s=0.3) as transcoder:
        await transcoder.create()
        call = transcoder.recordings.UploadSource()
        await call.write(pb.UploadSourceRequest(recording_id="film"))
        await call.write(pb.UploadSourceRequest(body=httpbody_pb2.HttpBody(data=film[:1000])))
        error = await refusal(call)
        assert (type(error), error.reason) == (errors.DeadlineExceeded, "UPLOAD_SILENT")
        assert transcoder.stored() == set()


async def test_an_upload_that_says_nothing_at_all_is_given_up(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with running_pair(nats_server.url, tmp_path / "objects", upload_silence_s=0.3) as transcoder:
        call = transcoder.recordings.UploadSource(timeout=10)
        error = await refusal(call)
        assert (type(error), error.reason) == (errors.DeadlineExceeded, "UPLOAD_SILENT")


async def test_of_two_uploads_at_a_time_the_second_waits(transcoder: Transcoder, film: bytes) -> None:
    await transcoder.create()
    first = transcoder.recordings.UploadSource()
    await first.write(pb.UploadSourceRequest(recording_id="film"))
    await becomes(transcoder, pb.Recording.UPLOADING)
    error = await refusal(transcoder.upload(film))
    assert (type(error), error.reason) == (errors.Conflict, "UPLOAD_UNDER_WAY")
    await first.write(pb.UploadSourceRequest(body=httpbody_pb2.HttpBody(data=film), last=True))
    assert (await first).state == pb.Recording.READY


async def test_an_unused_source_is_replaced_whole(
    transcoder: Transcoder, film: bytes, tmp_path: Path
) -> None:
    await transcoder.create()
    await transcoder.upload(film)
    before = transcoder.stored()
    sound = make_media(
        tmp_path / "sound.wav", Media(picture=None, sound=Sound(seconds=1.0), flags=("-c:a", "pcm_s16le"))
    )
    replaced = await transcoder.upload(sound.read_bytes())
    assert (replaced.has_video, replaced.has_audio) == (False, True)
    assert len(transcoder.stored()) == 2
    assert not transcoder.stored() & before


async def test_a_refused_replacement_leaves_the_source_in_force(transcoder: Transcoder, film: bytes) -> None:
    await transcoder.create()
    before = await transcoder.upload(film)
    kept = transcoder.stored()
    assert isinstance(await refusal(transcoder.upload(b"no media " * 100)), errors.InvalidArgument)
    after = await get(transcoder)
    assert (after.state, after.sha256, transcoder.stored()) == (pb.Recording.READY, before.sha256, kept)


async def test_a_transcoded_source_stays(transcoder: Transcoder, film: bytes) -> None:
    await transcoder.create()
    await transcoder.upload(film)
    await transcoder.start()
    error = await refusal(transcoder.upload(film))
    assert (type(error), error.reason) == (errors.FailedPrecondition, "SOURCE_IN_USE")
    assert (await transcoder.finish()).state == pb.JobProgress.SUCCEEDED
    assert (await get(transcoder)).watch_url == "/watch/film"


def cut_film(folder: Path, share: float) -> bytes:
    film = small_film(folder, seconds=4.0).read_bytes()
    return film[: round(len(film) * share)]


def still_picture(folder: Path) -> bytes:
    media = Media(picture=Picture(count=1, flags=()), sound=None)
    return make_media(folder / "still.png", media).read_bytes()


BAD_INPUTS: dict[str, Callable[[Path], bytes]] = {
    "text": lambda _: b"This is no media at all. " * 50,
    "noise": lambda _: hashlib.sha256(b"x").digest() * 2000,
    "playlist": lambda _: (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    ),
    "subtitles": lambda _: b"1\n00:00:00,000 --> 00:00:01,000\nHello\n",
    "truncated": lambda folder: cut_film(folder, 0.5),
    "header only": lambda folder: cut_film(folder, 0.005),
    "picture": still_picture,
}


@pytest.mark.parametrize("kind", BAD_INPUTS)
async def test_what_is_no_source_is_refused_with_the_probes_words(
    transcoder: Transcoder, tmp_path: Path, kind: str
) -> None:
    await transcoder.create()
    error = await refusal(transcoder.upload(BAD_INPUTS[kind](tmp_path)))
    assert isinstance(error, errors.InvalidArgument)
    assert transcoder.stored() == set()
    failed = await get(transcoder)
    assert (failed.state, failed.error) == (pb.Recording.FAILED, error.message)


async def test_a_huge_picture_is_refused(transcoder: Transcoder, tmp_path: Path) -> None:
    huge = tmp_path / "huge.mp4"
    lavfi = ("-f", "lavfi", "-i", "color=s=8192x4320:r=1:d=1", "-c:v", "libx264", "-preset", "ultrafast")
    run_ffmpeg(*lavfi, "-pix_fmt", "yuv420p", str(huge))
    await transcoder.create()
    error = await refusal(transcoder.upload(huge.read_bytes()))
    assert error.reason == "PICTURE_TOO_LARGE"
    assert "8192" in error.message


async def test_recordings_are_listed_newest_first_page_by_page(transcoder: Transcoder) -> None:
    names = [f"film-{number}" for number in range(5)]
    for name in names:
        await transcoder.create(name)
    seen, token = [], ""
    while True:
        request = pb.ListRecordingsRequest(page_size=2, page_token=token)
        page: pb.ListRecordingsResponse = await transcoder.recordings.ListRecordings(request)
        assert len(page.recordings) <= 2
        seen += [recording.recording_id for recording in page.recordings]
        token = page.next_page_token
        if not token:
            break
    assert seen == names[::-1]


@pytest.mark.parametrize(("size", "token"), [(-1, ""), (1001, ""), (1, "nonsense"), (1, "\u00e4")])
async def test_a_bad_page_is_refused(transcoder: Transcoder, size: int, token: str) -> None:
    request = pb.ListRecordingsRequest(page_size=size, page_token=token)
    error = await refusal(transcoder.recordings.ListRecordings(request))
    assert isinstance(error, errors.InvalidArgument)
    assert "page_" in error.message


async def test_a_deleted_recording_is_gone_with_its_stream_and_objects(
    transcoder: Transcoder, film: bytes
) -> None:
    await transcoder.create()
    await transcoder.upload(film)
    await transcoder.start()
    await transcoder.finish()
    assert transcoder.stored()
    shown = transcoder.objects / "streams/film/0badcafe/Low/00000000-a.m4s"  # by a live stream of that id
    shown.parent.mkdir(parents=True)
    shown.write_bytes(b"media")
    request = pb.DeleteRecordingRequest(recording_id="film")
    assert (await transcoder.recordings.DeleteRecording(request)).recording_id == "film"
    assert transcoder.stored() == {"streams/film/0badcafe/Low/00000000-a.m4s"}
    assert isinstance(await refusal(get(transcoder)), errors.NotFound)
    assert isinstance(await refusal(transcoder.ledger()), errors.NotFound)
    assert isinstance(await refusal(transcoder.recordings.DeleteRecording(request)), errors.NotFound)
    assert list((await transcoder.recordings.ListRecordings(pb.ListRecordingsRequest())).recordings) == []
    assert (await transcoder.create()).state == pb.Recording.CREATED


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


async def test_memory_stays_flat_under_a_large_upload(nats_server: NatsServer, tmp_path: Path) -> None:
    """200 MB pass through, faster than they are stored; a process that kept them would be seen at once."""
    piece = pb.UploadSourceRequest(body=httpbody_pb2.HttpBody(data=bytes(256 * 1024)))
    async with (
        running_distributor(nats_server.url) as distributor,
        transcoder_process(nats_server.url, distributor, tmp_path / "objects") as (transcoder, process),
    ):
        await transcoder.recordings.CreateRecording(
            pb.CreateRecordingRequest(recording_id="film"), wait_for_ready=True
        )
        call = transcoder.recordings.UploadSource()
        await call.write(pb.UploadSourceRequest(recording_id="film"))
        before, most = resident_bytes(process.pid), 0
        for _ in range(800):
            await call.write(piece)
            most = max(most, resident_bytes(process.pid))
        await call.write(pb.UploadSourceRequest(last=True))
        assert isinstance(await refusal(call), errors.InvalidArgument)
        assert transcoder.stored() == set()
    assert most - before < 100_000_000  # a few parts of 12 MiB, and copies on their way
