"""Build the command of a tap: an ffmpeg that fetches a source and hands its packets on, none of them changed.

Pure, so that tests pin it. A URL comes from a user: it is one argument, behind -i, and each scheme may use
only the protocols that it needs, also from within a playlist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from transcoder.adapters.ffmpeg_command import GLOBAL_FLAGS

_TIMEOUT_US = "10000000"
_HTTP = (
    *("-protocol_whitelist", "http,https,httpproxy,tcp,tls,crypto"),
    *("-rw_timeout", _TIMEOUT_US),
    # what a playlist may name, and no other playlist formats
    *("-format_whitelist", "hls,mpegts,mov,aac,mp3,ac3,eac3,flv,matroska"),
    "-re",  # a playlist's segments come in bursts
)
_RTMP = ("-protocol_whitelist", "rtmp,rtmps,tcp,tls,crypto", "-rw_timeout", _TIMEOUT_US)
_RTSP = (
    *("-protocol_whitelist", "rtsp,rtsps,rtp,tcp,tls,crypto"),
    *("-rtsp_transport", "tcp"),  # passes every firewall, and loses nothing
    *("-timeout", _TIMEOUT_US),
)
_SRT = ("-protocol_whitelist", "srt,udp", "-f", "mpegts", "-mode", "caller")
INPUT_FLAGS: Mapping[str, Sequence[str]] = {
    "http": _HTTP,
    "https": _HTTP,
    "rtmp": _RTMP,
    "rtmps": _RTMP,
    "rtsp": _RTSP,
    "rtsps": _RTSP,
    "srt": _SRT,
}
_TRACKS = (*("-map", "0:v:0?"), *("-map", "0:a:0?"), *("-c", "copy"))
_AT_ONCE = ("-flush_packets", "1")  # nothing waits in a buffer for more to come


def build_url_command(
    ffmpeg_path: str, url: str, scheme: str, output_url: str, *, progress_url: str, proxy_url: str
) -> list[str]:
    """Hand on what stands at a URL as MPEG-TS; all of HTTP goes through `proxy_url`."""
    # The environment, not -http_proxy: what a playlist names would not always inherit the option.
    environment = ("env", f"http_proxy={proxy_url}", "no_proxy=")
    return [
        *(*environment, ffmpeg_path, *GLOBAL_FLAGS, "-progress", progress_url),
        *(*INPUT_FLAGS[scheme], "-i", url, *_TRACKS),
        *("-f", "mpegts", "-muxdelay", "0", "-muxpreload", "0", *_AT_ONCE, output_url),
    ]


def build_listener_command(
    ffmpeg_path: str, port: int, output_url: str, *, progress_url: str, passphrase: str = ""
) -> list[str]:
    """Take one SRT caller on a port of this machine, and hand on what it sends as MPEG-TS."""
    secret = ("-passphrase", passphrase) if passphrase else ()
    return [
        *(ffmpeg_path, *GLOBAL_FLAGS, "-progress", progress_url),
        *("-protocol_whitelist", "srt,udp", "-f", "mpegts", "-mode", "listener", *secret),
        # begin after a second: a transport stream may always have more tracks
        *("-analyzeduration", "1000000"),
        *("-i", f"srt://127.0.0.1:{port}", *_TRACKS),
        *("-f", "mpegts", "-muxdelay", "0", "-muxpreload", "0", *_AT_ONCE, output_url),
    ]


def build_file_command(
    ffmpeg_path: str, path: Path, demuxer: str, output_url: str, *, progress_url: str, loop: bool
) -> list[str]:
    """Hand on a file in real time as Matroska, which takes any codec; looped on request."""
    return [
        *(ffmpeg_path, *GLOBAL_FLAGS, "-progress", progress_url),
        *("-protocol_whitelist", "file,pipe", "-f", demuxer, "-re"),
        *(("-stream_loop", "-1") if loop else ()),
        *("-i", f"file:{path}", *_TRACKS),
        # clusters of a tenth of a second: a longer one would be held back until it is whole
        *("-f", "matroska", "-live", "1", "-cluster_time_limit", "100", *_AT_ONCE, output_url),
    ]
