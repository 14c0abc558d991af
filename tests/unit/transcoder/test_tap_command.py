"""What a tap's ffmpeg is told: the command, which others may read, and the script, which they may not."""

from __future__ import annotations

import pytest

from transcoder.adapters.tap_command import (
    build_script_command,
    choose_container,
    write_listener_script,
    write_url_script,
)
from transcoder.domain.pull_url import parse_pull_url

COMMAND = """
ffmpeg -nostdin -hide_banner -loglevel error -nostats -stats_period 0.5 -max_error_rate 0.2
-progress pipe:9 -protocol_whitelist pipe -f concat -safe 0 -i pipe:0 -map 0:v:0? -map 0:a:0? -c copy
"""
TS = "-f mpegts -muxdelay 0 -muxpreload 0 -flush_packets 1 pipe:5"
MATROSKA = "-f matroska -live 1 -cluster_time_limit 100 -flush_packets 1 pipe:5"

LISTENER = r"""
ffconcat version 1.0
file 'srt://127.0.0.1:7000'
option protocol_whitelist 'srt,udp'
option format_whitelist 'mpegts'
option analyzeduration '1000000'
option mode 'listener'
option passphrase 'it'\''s a secret'
"""
RTMP = """
ffconcat version 1.0
file 'rtmp://127.0.0.1:7000/live/key'
option protocol_whitelist 'rtmp,tcp'
option format_whitelist 'flv'
option rw_timeout '10000000'
option rtmp_tcurl 'rtmps://camera:443/live'
"""


@pytest.mark.parametrize(("container", "output"), [("mpegts", TS), ("matroska", MATROSKA)])
def test_the_command_names_no_source(container: str, output: str) -> None:
    command = build_script_command("ffmpeg", "pipe:5", progress_url="pipe:9", container=container)
    assert " ".join(command) == f"{' '.join(COMMAND.split())} {output}"


def test_what_comes_by_http_comes_through_the_proxy_and_in_real_time() -> None:
    command = build_script_command(
        "ffmpeg", "pipe:5", progress_url="pipe:9", container="mpegts", proxy_url="http://proxy"
    )
    assert command[:4] == ["env", "http_proxy=http://proxy", "no_proxy=", "ffmpeg"]
    assert "-re" in command[: command.index("-i")]


def test_what_a_playlist_names_is_verified_by_those_whom_the_system_trusts() -> None:
    trust = {"SSL_CERT_FILE": "/etc/ours.crt"}
    command = build_script_command(
        "ffmpeg", "pipe:5", progress_url="pipe:9", container="mpegts", proxy_url="http://proxy", trust=trust
    )
    assert command[:5] == [
        "env",
        "http_proxy=http://proxy",
        "no_proxy=",
        "SSL_CERT_FILE=/etc/ours.crt",
        "ffmpeg",
    ]
    url = "https://camera/index.m3u8"
    assert b"option tls_verify '1'" in write_url_script(parse_pull_url(url), url)


def test_the_script_of_a_listener_holds_its_passphrase() -> None:
    assert write_listener_script(7000, passphrase="it's a secret").decode() == LISTENER.lstrip()


def test_an_rtmp_server_is_told_the_name_that_was_asked_for() -> None:
    url = parse_pull_url("rtmps://camera/live/key")
    assert write_url_script(url, "rtmp://127.0.0.1:7000/live/key").decode() == RTMP.lstrip()


@pytest.mark.parametrize("scheme", ["http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "srt"])
def test_no_source_may_open_a_file(scheme: str) -> None:
    script = write_url_script(parse_pull_url(f"{scheme}://camera/a"), "x").decode()
    (allowed,) = (line for line in script.splitlines() if "protocol_whitelist" in line)
    assert not {"file", "pipe", "fd", "data", "concat"} & set(allowed.split("'")[1].split(","))


def test_only_cameras_need_a_container_that_takes_any_sound() -> None:
    assert [choose_container(url) for url in ("rtsps://a", "rtmp://a", "srt://a")] == [
        "matroska",
        "mpegts",
        "mpegts",
    ]
