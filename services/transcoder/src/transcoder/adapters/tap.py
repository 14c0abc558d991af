"""Taps: sources that must be fetched become bytes of one container, which sessions take as a publisher's."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

import imageio_ffmpeg

from chassis.errors import InvalidArgument, NotFound, Unavailable
from transcoder.adapters.ffmpeg_process import FfmpegProcess, FfmpegStalledError, ProcessLimits, run_ffmpeg
from transcoder.adapters.reach import reach
from transcoder.adapters.tap_command import (
    build_file_command,
    build_script_command,
    choose_container,
    write_listener_script,
    write_url_script,
)
from transcoder.domain.live_settings import PullSource
from transcoder.domain.pull_url import parse_pull_url
from transcoder.ports import RecordingStore, SourceFiles

_MEMORY_BYTES = 4 << 30
# "[rtsp @ 0x55ced955b4c0] ", and what it says of its script, of which people know nothing.
_SPEAKER = re.compile(r"^\[[^\]]*\] ")
_SAYING_NOTHING = ("Impossible to open", "Error opening input file")
_Build = Callable[[Sequence[str], str], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What ffmpeg reads from its stdin."""

    text: bytes = b""
    secrets: tuple[str, ...] = ()
    """What of it is told to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TapSettings:
    """How taps run."""

    ffmpeg_path: str = ""
    """Empty: the one that the imageio-ffmpeg package brings."""
    allow_private: bool = False
    """Pull from private, loopback and link-local addresses as well."""
    silence_s: float = 10.0
    """A source that brings nothing for so long has gone."""

    @property
    def limits(self) -> ProcessLimits:
        return ProcessLimits(memory_bytes=_MEMORY_BYTES, stall_timeout_s=self.silence_s)


class Taps:
    """See `live.ports.Taps`."""

    def __init__(self, settings: TapSettings, recordings: RecordingStore, files: SourceFiles) -> None:
        self._settings = settings
        self._ffmpeg_path = settings.ffmpeg_path or imageio_ffmpeg.get_ffmpeg_exe()
        self._recordings = recordings
        self._files = files

    def open(self, source: PullSource) -> UrlTap | RecordingTap:
        """Make the tap of a source; it begins when its pieces are taken."""
        if source.recording_id:
            return RecordingTap(self._settings, self._ffmpeg_path, source, self._recordings, self._files)
        return UrlTap(self._settings, self._ffmpeg_path, source.url)


class UrlTap:
    """Taps a URL; see `live.ports.Tap`."""

    def __init__(self, settings: TapSettings, ffmpeg_path: str, url: str) -> None:
        self._settings = settings
        self._ffmpeg_path = ffmpeg_path
        self._url = url
        self.demuxer = choose_container(url)

    async def pieces(self) -> AsyncGenerator[bytes]:
        url = parse_pull_url(self._url)
        async with reach(url, allow_private=self._settings.allow_private) as place:

            def build(urls: Sequence[str], progress_url: str) -> Sequence[str]:
                return build_script_command(
                    *(self._ffmpeg_path, urls[0]),
                    progress_url=progress_url,
                    container=self.demuxer,
                    proxy_url=place.proxy_url,
                    trust=_system_trust(),
                )

            script = Script(text=write_url_script(url, place.url), secrets=(url.url, place.url))
            try:
                async with aclosing(_pieces(build, self._settings.limits, script)) as pieces:
                    async for piece in pieces:
                        yield piece
            except Unavailable as error:
                raise place.failure() or error from error


class RecordingTap:
    """Taps the source of a recording; see `live.ports.Tap`."""

    demuxer = "matroska"

    def __init__(
        self,
        settings: TapSettings,
        ffmpeg_path: str,
        source: PullSource,
        recordings: RecordingStore,
        files: SourceFiles,
    ) -> None:
        self._settings = settings
        self._ffmpeg_path = ffmpeg_path
        self._source = source
        self._recordings = recordings
        self._files = files

    async def pieces(self) -> AsyncGenerator[bytes]:
        kept = await self._recordings.get(self._source.recording_id)
        if kept is None or kept.value.deleting:
            raise NotFound(f"recording {self._source.recording_id!r} is not there", reason="NO_RECORDING")
        stored = kept.value.source
        if stored is None:
            raise InvalidArgument(
                f"recording {self._source.recording_id!r} has no source: upload one", reason="NO_SOURCE"
            )
        async with AsyncExitStack() as stack:
            path = await stack.enter_async_context(self._files.open(stored.key))

            def build(urls: Sequence[str], progress_url: str) -> Sequence[str]:
                return build_file_command(
                    *(self._ffmpeg_path, path, stored.media.demuxer, urls[0]),
                    progress_url=progress_url,
                    loop=self._source.loop,
                )

            pieces = await stack.enter_async_context(aclosing(_pieces(build, self._settings.limits)))
            async for piece in pieces:
                yield piece


class SrtListener:
    """Takes one SRT caller at a time on a port of this machine; see `ingest.srt.Listen`."""

    def __init__(self, settings: TapSettings, *, passphrase: str) -> None:
        self._settings = settings
        self._ffmpeg_path = settings.ffmpeg_path or imageio_ffmpeg.get_ffmpeg_exe()
        self._passphrase = passphrase

    def listen(self, port: int) -> AsyncGenerator[bytes]:
        """Wait for a caller, and yield what it sends as MPEG-TS."""
        script = Script(text=write_listener_script(port, passphrase=self._passphrase))

        def build(urls: Sequence[str], progress_url: str) -> Sequence[str]:
            return build_script_command(
                self._ffmpeg_path, urls[0], progress_url=progress_url, container="mpegts"
            )

        return _pieces(build, self._settings.limits, script)


def _system_trust() -> dict[str, str]:
    """Name whom the system trusts; an ffmpeg built elsewhere would look where its builder had them."""
    paths = ssl.get_default_verify_paths()
    found = {"SSL_CERT_FILE": paths.cafile, "SSL_CERT_DIR": paths.capath}
    return {name: path for name, path in found.items() if path}


async def _pieces(build: _Build, limits: ProcessLimits, script: Script = Script()) -> AsyncGenerator[bytes]:
    """Take what a tap's ffmpeg hands on; its last words are told without the secrets."""
    async with run_ffmpeg(
        build, output_count=1, limits=limits, on_progress=lambda _: None, is_fed=True
    ) as process:
        await process.write(script.text)
        process.end_input()
        try:
            async with aclosing(process.outputs()) as outputs:
                async for _, piece in outputs:
                    yield piece
            status = await process.wait()
        except (FfmpegStalledError, TimeoutError) as error:
            raise _away(process, script) from error
        if status:
            raise _away(process, script)


def _away(process: FfmpegProcess, script: Script) -> Unavailable:
    words = process.last_words
    for secret in script.secrets:
        words = words.replace(secret, "the source")
    return Unavailable(f"the source cannot be had: {_tidied(words) or 'it is silent'}", reason="SOURCE_AWAY")


def _tidied(words: str) -> str:
    """Keep of ffmpeg's last words what tells a person something: each line once, without places in memory."""
    lines = (_SPEAKER.sub("", line).removeprefix("Error opening input: ") for line in words.splitlines())
    return "; ".join(dict.fromkeys(line for line in lines if not line.startswith(_SAYING_NOTHING)))
