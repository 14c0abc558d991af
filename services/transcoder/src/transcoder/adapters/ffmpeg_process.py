"""Run one ffmpeg: take its outputs from pipes, follow its progress, keep its last words, end it surely.

There are no scratch files, and should this process die, ffmpeg's pipes break and it ends as well.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import BinaryIO

from transcoder.adapters.pipe_inbox import PipeInbox

LAST_WORDS_BYTES = 4_000
LAST_WORDS_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What ffmpeg says of itself about twice a second."""

    frame_count: int = 0
    """Frames of the first video output."""
    time_s: float = 0.0
    """How far its output reaches, seconds."""
    speed_ratio: float = 0.0
    """Media seconds per wall-clock second; 0 while unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """The bounds within which an ffmpeg runs."""

    memory_bytes: int = 16 << 30
    """Address space, not memory in use: threads reserve much that they never touch."""
    stall_timeout_s: float = 60.0
    """Longest time without output and without progress."""
    stop_timeout_s: float = 2.0
    """From asking it to end until it is killed."""
    niceness: int = 0
    """0 to 19: how much it gives way to other processes."""


class FfmpegStalledError(Exception):
    """ffmpeg made neither output nor progress for too long."""


class FfmpegProcess:
    """One running ffmpeg. `run_ffmpeg` makes it, and ends it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        inbox: PipeInbox,
        output_count: int,
        limits: ProcessLimits,
        *,
        on_progress: Callable[[Progress], None],
        feed: asyncio.StreamWriter | None = None,
    ) -> None:
        """Take a process, and what comes of its outputs, its progress and its stderr, numbered in this order.

        It is fed through its stdin, unless a `feed` of its own is given: then stdin takes commands.
        """
        self._process = process
        self._feed = feed or process.stdin
        self._inbox = inbox
        self._output_count = output_count
        self._limits = limits
        self._on_progress = on_progress
        self._progress = Progress()
        self._progress_text = b""
        self._stderr = b""
        self._deadline = self._next_deadline()

    @property
    def last_words(self) -> str:
        """The last lines that it wrote to stderr."""
        lines = self._stderr.decode(errors="replace").splitlines()
        return "\n".join(lines[-LAST_WORDS_LINES:])

    async def outputs(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """Take all outputs as they come: yield an output's number and its next piece.

        A slow taker holds ffmpeg up.

        Raises:
            FfmpegStalledError: Nothing came, and nothing was under way, for limits.stall_timeout_s.
        """
        while piece := await self._take():
            number, data = piece
            if self._is_output(number, data):
                yield number, data
                self._deadline = self._next_deadline()  # the taker's time does not count

    async def _take(self) -> tuple[int, bytes] | None:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._inbox.take()
        except TimeoutError as error:
            raise FfmpegStalledError(f"no output for {self._limits.stall_timeout_s:g} s") from error

    async def write(self, data: bytes) -> None:
        """Feed it; wait while it has enough. Once it takes no more, the bytes are dropped."""
        if self._feed and not self._feed.is_closing():
            with suppress(ConnectionError):
                self._feed.write(data)
                await self._feed.drain()

    def end_input(self) -> None:
        """Let it see the end of its input, behind all that was written."""
        if self._feed:
            self._feed.close()

    def command(self, text: str) -> None:
        """Give it a command, as a person at its terminal would; it looks for one twice a second."""
        if self._process.stdin and not self._process.stdin.is_closing():
            self._process.stdin.write(text.encode())

    async def wait(self) -> int:
        """Wait for its end behind that of its outputs; return its status, negative if a signal killed it."""
        async with asyncio.timeout(self._limits.stall_timeout_s):
            return await self._process.wait()

    async def stop(self) -> None:
        """End it if it still runs: ask first, then kill."""
        self.end_input()  # a read of it would outlast the asking
        if self._process.returncode is not None:
            return
        try:
            with suppress(TimeoutError, ProcessLookupError):
                self._process.terminate()
                async with asyncio.timeout(self._limits.stop_timeout_s):
                    await self._process.wait()
        finally:  # also when we are cancelled once more while we wait
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    self._process.kill()
        await self._process.wait()

    def _next_deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._limits.stall_timeout_s

    def _is_output(self, number: int, data: bytes) -> bool:
        """Keep what is progress or stderr for ourselves."""
        if number < self._output_count:
            return True
        if number > self._output_count:
            self._stderr = (self._stderr + data)[-LAST_WORDS_BYTES:]
        else:
            self._follow(data)
        return False

    def _follow(self, data: bytes) -> None:
        """Take progress, and tell of it once it has moved."""
        *blocks, self._progress_text = (self._progress_text + data).split(b"progress=")
        for block in blocks:
            news = parse_progress(block.decode(errors="replace"), self._progress)
            if news != self._progress:
                self._deadline = self._next_deadline()
                self._on_progress(news)
            self._progress = news


def parse_progress(text: str, before: Progress = Progress()) -> Progress:
    """Read a block of ffmpeg's -progress, key=value lines; what it does not say stays as it was before."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    news = before
    with suppress(KeyError, ValueError):
        news = replace(news, frame_count=int(values["frame"]))
    with suppress(KeyError, ValueError):
        news = replace(news, time_s=int(values["out_time_us"]) / 1_000_000)
    with suppress(KeyError, ValueError):
        news = replace(news, speed_ratio=float(values["speed"].strip().removesuffix("x")))
    return news


@asynccontextmanager
async def run_ffmpeg(
    build_command: Callable[[Sequence[str], str], Sequence[str]],
    *,
    output_count: int,
    limits: ProcessLimits,
    on_progress: Callable[[Progress], None],
    is_fed: bool = False,
    is_commanded: bool = False,
) -> AsyncIterator[FfmpegProcess]:
    """Start an ffmpeg for the time of a block; however the block is left, it is dead afterwards.

    Args:
        build_command: Makes the command from the URLs of the outputs and that of the progress.
        output_count: How many outputs it has.
        limits: The bounds within which it runs.
        on_progress: Called when its progress has moved, while the outputs are being taken.
        is_fed: Its stdin is a pipe, to be fed with `write`; else it is empty.
        is_commanded: Its stdin takes commands instead, and what it is fed comes through a pipe, whose URL
            stands behind those of the outputs.
    """
    async with AsyncExitStack() as stack:
        pipes = stack.enter_context(_open_pipes(output_count, is_commanded=is_commanded))
        takes_input = is_fed or is_commanded
        try:
            process = await _start(build_command, pipes, limits, takes_input=takes_input)
        finally:
            pipes.close_far_ends()
        stack.push_async_callback(_reap, process)  # also if what follows is given up
        inbox = PipeInbox()
        feed = await _connect_feed(pipes.feed) if pipes.feed else None
        ffmpeg = FfmpegProcess(process, inbox, output_count, limits, on_progress=on_progress, feed=feed)
        stack.push_async_callback(ffmpeg.stop)
        _bound_memory(process.pid, limits.memory_bytes)
        for number, file in enumerate(pipes.files):
            # the pipes are closed before ffmpeg is stopped, so that it cannot hang on writing to them
            stack.callback(await inbox.connect(number, file))
        yield ffmpeg


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pipes:
    """The pipes of one ffmpeg: our ends as files, its own as numbers."""

    files: tuple[BinaryIO, ...]
    """Of the outputs, the progress and stderr, in this order."""
    feed: BinaryIO | None
    outputs: tuple[int, ...]
    progress: int
    stderr: int
    inputs: tuple[int, ...]

    @property
    def urls(self) -> tuple[str, ...]:
        """Those of the outputs, and of what it is fed through; beside a "pipe:" it takes no commands."""
        fed = (f"file:/dev/fd/{end}" for end in self.inputs)
        return (*(f"pipe:{end}" for end in self.outputs), *fed)

    def close_far_ends(self) -> None:
        """Close what is ffmpeg's, which has it by now or never will."""
        for end in (*self.outputs, self.progress, self.stderr, *self.inputs):
            os.close(end)


@contextmanager
def _open_pipes(output_count: int, *, is_commanded: bool) -> Iterator[_Pipes]:
    """Have pipes; our ends of them are closed behind the block."""
    with ExitStack() as stack:
        pairs = [os.pipe() for _ in range(output_count + 2)]
        files = [stack.enter_context(os.fdopen(read_end, "rb", buffering=0)) for read_end, _ in pairs]
        *outputs, progress, stderr = (write_end for _, write_end in pairs)
        inputs = [os.pipe()] if is_commanded else []
        feeds = [stack.enter_context(os.fdopen(write_end, "wb", buffering=0)) for _, write_end in inputs]
        yield _Pipes(
            files=tuple(files),
            feed=feeds[0] if feeds else None,
            outputs=tuple(outputs),
            progress=progress,
            stderr=stderr,
            inputs=tuple(read_end for read_end, _ in inputs),
        )


async def _start(
    build_command: Callable[[Sequence[str], str], Sequence[str]],
    pipes: _Pipes,
    limits: ProcessLimits,
    *,
    takes_input: bool,
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(("nice", "-n", str(limits.niceness)) if limits.niceness else ()),
        *build_command(pipes.urls, f"pipe:{pipes.progress}"),
        stdin=asyncio.subprocess.PIPE if takes_input else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=pipes.stderr,
        pass_fds=(*pipes.outputs, *pipes.inputs, pipes.progress),
    )


async def _reap(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _connect_feed(file: BinaryIO) -> asyncio.StreamWriter:
    """Make a writer of the write end of a pipe."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), file
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


def _bound_memory(pid: int, memory_bytes: int) -> None:
    """Limit a running process's address space, where the system can (Linux)."""
    if sys.platform == "linux":
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, (memory_bytes, memory_bytes))
