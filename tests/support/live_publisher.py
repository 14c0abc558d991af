"""A publisher that can be hurt: ffmpeg with a picture and a tone in real time, pushed by RTMP, SRT or HTTP.

It drops when it is told to, without a word, as a phone in a tunnel does; a faithful one connects again
whenever it was sent away, as OBS does.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import imageio_ffmpeg

RETRY_S = 0.5
END_S = 15.0

# In real time from the first frame on, as a camera: plain -re, or a burst of 0, sends half a second at once.
PACE = ("-readrate", "1", "-readrate_initial_burst", "0.001")
RTMP = ("-f", "flv")
SRT = ("-f", "mpegts")
# A PUT or POST without an end; what the muxer has goes out at once.
_AT_ONCE = ("-chunked_post", "1", "-flush_packets", "1")
HTTP = ("-f", "mpegts", "-method", "PUT", *_AT_ONCE)
HTTP_FLV = ("-f", "flv", "-method", "POST", *_AT_ONCE)
_FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov+default_base_moof")
HTTP_MP4 = ("-f", "mp4", *_FRAGMENTS, "-method", "PUT", *_AT_ONCE)


def plan_publisher(
    url: str, *, size: str = "320x180", sound: bool = True, output: Sequence[str] = ()
) -> tuple[str, ...]:
    """Plan an ffmpeg that costs next to nothing: a moving picture of 30 frames a second.

    Args:
        url: Where to.
        size: Of the picture.
        sound: A tone as well.
        output: The container, and how it goes out; as the URL's protocol has it, if not given.
    """
    picture = (*PACE, "-f", "lavfi", "-i", f"testsrc2=size={size}:rate=30")
    tone = (*PACE, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
    video: tuple[str, ...] = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30")
    video += ("-pix_fmt", "yuv420p", "-b:v", "400k")
    output = output or {"rtmp": RTMP, "srt": SRT}.get(url.partition(":")[0], HTTP)
    ffmpeg = (imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "warning")
    return (*ffmpeg, *picture, *(tone if sound else ()), *video, "-c:a", "aac", *output, url)


class LivePublisher:
    """One ffmpeg at a time; make it with `publishing_live`."""

    def __init__(self, command: Sequence[str], log: Path, *, faithful: bool = False) -> None:
        self.command = tuple(command)
        self._log = log
        self._faithful = faithful
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @property
    def words(self) -> str:
        """What ffmpeg had to say, in all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, command: Sequence[str] | None = None) -> None:
        """Connect; a command given here is kept from now on."""
        self.command = tuple(command or self.command)
        self._stopped.clear()
        self._spawn()
        if self._faithful:
            self._keeper = threading.Thread(target=self._keep, daemon=True)
            self._keeper.start()

    def drop(self) -> None:
        """Vanish, without a word to anybody."""
        self._stopped.set()
        with self._lock:
            process, self._process = self._process, None
        if process:
            process.kill()
            process.wait(END_S)
        if self._keeper:
            self._keeper.join(END_S)

    def wait_gone(self, within_s: float = END_S) -> None:
        """Wait until ffmpeg has ended by itself, since it was sent away."""
        deadline = time.monotonic() + within_s
        while self.is_running:
            assert time.monotonic() < deadline, f"still connected; it said:\n{self.words}"
            time.sleep(0.05)

    def _spawn(self) -> None:
        with self._lock, self._log.open("ab") as log:
            if not self._stopped.is_set():
                self._process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            process = self._process
            if process:
                process.wait()
            if not self._stopped.wait(RETRY_S):
                self._spawn()


@contextmanager
def publishing_live(
    url: str,
    log: Path,
    *,
    faithful: bool = False,
    size: str = "320x180",
    sound: bool = True,
    output: Sequence[str] = (),
) -> Iterator[LivePublisher]:
    """Publish to a URL for as long as the block lasts; see `plan_publisher`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = plan_publisher(url, size=size, sound=sound, output=output)
    publisher = LivePublisher(command, log, faithful=faithful)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.drop()
