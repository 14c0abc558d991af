"""Build the command of a tap: an ffmpeg that fetches a source and hands its packets on, none of them changed.

Pure, so that tests pin it. What ffmpeg opens, it reads from a script on its stdin and not from its command,
because that every user of the machine may read, and a URL or an option may hold a secret. A URL comes from a
user: it is one line of the script, and each scheme may use only the protocols that it needs, also from within
a playlist.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from transcoder.adapters.ffmpeg_command import GLOBAL_FLAGS
from transcoder.domain.pull_url import PullUrl

_TIMEOUT_US = "10000000"
Options = Mapping[str, str]

_HTTP: Options = {
    "protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto",
    "rw_timeout": _TIMEOUT_US,
    # what a playlist may name, and no other playlist formats
    "format_whitelist": "hls,mpegts,mov,aac,mp3,ac3,eac3,flv,matroska",
}
# What a playlist names is verified too, though it inherits no option: that is the default of ffmpeg 9.
_HTTPS: Options = {**_HTTP, "tls_verify": "1"}
# TLS ends before ffmpeg; see `stream_guard`.
_RTMP: Options = {"protocol_whitelist": "rtmp,tcp", "format_whitelist": "flv", "rw_timeout": _TIMEOUT_US}
_RTSP: Options = {
    "protocol_whitelist": "rtsp,tcp",
    "format_whitelist": "rtsp",
    "rtsp_transport": "tcp",  # passes every firewall, and loses nothing
    "timeout": _TIMEOUT_US,
}
_SRT: Options = {
    "protocol_whitelist": "srt,udp",
    "format_whitelist": "mpegts",
    # begin after a second: a transport stream may always have more tracks
    "analyzeduration": "1000000",
}
_OPTIONS: Mapping[str, Options] = {
    "http": _HTTP,
    "https": _HTTPS,
    "rtmp": _RTMP,
    "rtmps": _RTMP,
    "rtsp": _RTSP,
    "rtsps": _RTSP,
    "srt": {**_SRT, "mode": "caller"},
}
_SCRIPT = ("-protocol_whitelist", "pipe", "-f", "concat", "-safe", "0", "-i", "pipe:0")
_TRACKS = (*("-map", "0:v:0?"), *("-map", "0:a:0?"), *("-c", "copy"))
_AT_ONCE = ("-flush_packets", "1")  # nothing waits in a buffer for more to come
_CONTAINERS: Mapping[str, tuple[str, ...]] = {
    "mpegts": ("-f", "mpegts", "-muxdelay", "0", "-muxpreload", "0", *_AT_ONCE),
    # clusters of a tenth of a second: a longer one would be held back until it is whole
    "matroska": ("-f", "matroska", "-live", "1", "-cluster_time_limit", "100", *_AT_ONCE),
}


def choose_container(url: str) -> str:
    """Choose in what a source is handed on, by the name of its demuxer.

    MPEG-TS takes up what changes in mid-stream, but no sound of telephones (G.711), which cameras send.
    """
    return "matroska" if url.startswith("rtsp") else "mpegts"


def build_script_command(
    ffmpeg_path: str,
    output_url: str,
    *,
    progress_url: str,
    container: str,
    proxy_url: str = "",
    trust: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Hand on what a script on stdin names.

    Args:
        ffmpeg_path: The program.
        output_url: Where to.
        progress_url: Where it tells how far it is.
        container: As `choose_container` names it.
        proxy_url: All HTTP goes through it. What comes so comes in bursts, and is handed on in real time.
        trust: By whom the certificates of HTTPS servers must be signed, as OpenSSL's variables.
    """
    # The environment, not options: what a playlist names would not always inherit them.
    proxy = (f"http_proxy={proxy_url}", "no_proxy=") if proxy_url else ()
    variables = (*proxy, *(f"{name}={value}" for name, value in trust.items()))
    return [
        *(*(("env", *variables) if variables else ()), ffmpeg_path, *GLOBAL_FLAGS, "-progress", progress_url),
        *(*(("-re",) if proxy_url else ()), *_SCRIPT, *_TRACKS),
        *(*_CONTAINERS[container], output_url),
    ]


def write_url_script(source: PullUrl, url: str) -> bytes:
    """Name a source; `url` is where ffmpeg itself shall look for it."""
    told = {"rtmp_tcurl": source.rtmp_application()} if "rtmp" in source.scheme else {}
    return _write_script(url, {**_OPTIONS[source.scheme], **told})


def write_listener_script(port: int, *, passphrase: str = "") -> bytes:
    """Name one SRT caller on a port of this machine, who sends MPEG-TS."""
    secret = {"passphrase": passphrase} if passphrase else {}
    return _write_script(f"srt://127.0.0.1:{port}", {**_SRT, "mode": "listener", **secret})


def _write_script(url: str, options: Options) -> bytes:
    lines = ["ffconcat version 1.0", f"file {_quoted(url)}"]
    lines += [f"option {name} {_quoted(value)}" for name, value in options.items()]
    return "\n".join([*lines, ""]).encode()


def _quoted(text: str) -> str:
    """Quote as libav reads it: within quotes, only a quote is special."""
    return "'" + text.replace("'", "'\\''") + "'"


def build_file_command(
    ffmpeg_path: str, path: Path, demuxer: str, output_url: str, *, progress_url: str, loop: bool
) -> list[str]:
    """Hand on a file in real time as Matroska, which takes any codec; looped on request."""
    return [
        *(ffmpeg_path, *GLOBAL_FLAGS, "-progress", progress_url),
        *("-protocol_whitelist", "file,pipe", "-f", demuxer, "-re"),
        *(("-stream_loop", "-1") if loop else ()),
        *("-i", f"file:{path}", *_TRACKS),
        *(*_CONTAINERS["matroska"], output_url),
    ]
