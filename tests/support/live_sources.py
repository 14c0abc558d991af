"""Servers from which live media are pulled: ffmpeg serves RTMP and SRT to one client, and makes live HLS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imageio_ffmpeg

from support.ports import free_ports

_MEDIA = (
    *("-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=30"),
    *("-re", "-f", "lavfi", "-i", "sine=sample_rate=48000"),
    *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15", "-c:a", "aac"),
)


@contextmanager
def rtmp_source(path: str = "/live/key") -> Iterator[str]:
    """Serve one client by RTMP; it may come a moment too early."""
    url = f"rtmp://localhost:{free_ports(1)[0]}{path}"
    with _ffmpeg("-f", "flv", "-listen", "1", url.replace("localhost", "127.0.0.1")):
        yield url


@contextmanager
def srt_source(passphrase: str) -> Iterator[str]:
    """Serve one client by SRT; it may come a moment too early."""
    place = f"{free_ports(1)[0]}?passphrase={passphrase}"
    with _ffmpeg("-f", "mpegts", f"srt://127.0.0.1:{place}&mode=listener"):
        yield f"srt://localhost:{place}"


@contextmanager
def growing_playlist(folder: Path) -> Iterator[None]:
    """Write live HLS into a folder: `index.m3u8`, and segments that go away again."""
    flags = ("-hls_time", "1", "-hls_list_size", "4", "-hls_flags", "delete_segments")
    with _ffmpeg("-f", "hls", *flags, str(folder / "index.m3u8")):
        yield


@contextmanager
def _ffmpeg(*output: str) -> Iterator[None]:
    argv = (imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "fatal", *_MEDIA, *output)
    with subprocess.Popen(argv) as process:
        try:
            yield
        finally:
            process.kill()
