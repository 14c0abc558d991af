from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import InvalidArgument
from transcoder.domain.rtsp_replies import BODY_BYTES, HEAD_BYTES, RtspReplies

OK = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"
DESCRIBED = b"RTSP/1.0 200 OK\r\ncontent-length: 31\r\nCSeq: 2\r\n\r\nRTSP/1.0 302 Found is mere text"
PACKET = b"$\x00\x00\x1cRTSP/1.0 302 is in the sound"
ASKED = b"OPTIONS rtsp://camera/a RTSP/1.0\r\nCSeq: 7\r\n\r\n"
UNKNOWN = b"RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n\r\n"
REDIRECT = b"RTSP/1.0 302 Found\r\nLocation: rtsp://10.0.0.1/\r\n\r\n"
LAWFUL = st.lists(st.sampled_from([OK, DESCRIBED, PACKET, ASKED, UNKNOWN]), max_size=6).map(b"".join)


def feed_all(data: bytes, cuts: list[int]) -> None:
    """Read data in pieces that end at the cuts."""
    replies = RtspReplies()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for begin, end in pairwise(places):
        replies.feed(data[begin:end])


@given(LAWFUL, st.lists(st.integers(min_value=0, max_value=500)))
def test_what_a_server_may_say_passes_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    feed_all(data, cuts)


@given(LAWFUL, st.lists(st.integers(min_value=0, max_value=500)))
def test_a_redirect_is_refused_however_it_is_cut(before: bytes, cuts: list[int]) -> None:
    with pytest.raises(InvalidArgument, match="redirects to another place"):
        feed_all(before + REDIRECT, cuts)


@pytest.mark.parametrize(
    "data",
    [
        b"RTSP/1.0  302 Found\r\n\r\n",
        b"RTSP/1.0 +302 Found\r\n\r\n",
        b"RTSP/1.0 0302\r\n\r\n",
        b"\r\nRTSP/1.0 302 Found\r\n\r\n",
        b"HTTP/1.1 302 Found\r\n\r\n",
        b"RTSP/1.0 200 OK\nContent-Length: 9\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n$abc\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 1\r0\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES + 1),
        b"RTSP/1.0 200 OK\r\nA: " + bytes(HEAD_BYTES),
    ],
)
def test_what_others_might_read_in_another_way_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument, match="does not speak RTSP"):
        feed_all(data, [])
