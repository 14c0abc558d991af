"""CMCD: what players tell, in both versions and both ways; and what they may not do to us with it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls_gateway.domain.cmcd import MOST_BYTES, MOST_KEYS, Cmcd, find_cmcd, find_session_id, parse_cmcd

# The example of CTA-5004, 2.4, with what a player of ours adds.
SAID = (
    'bl=21300,br=3200,bs,cid="faec5fc2-ac30-11ea-bb37-0242ac130002",d=4004,dl=18500,mtp=48100,'
    'nor="..%2F300kbps%2Ftrack.m4v",nrr="12323-48763",ot=v,pr=1.08,rtp=12000,sf=h,'
    'sid="6e2fb550-c457-11e9-bb97-0800200c9a66",st=v,su,tb=6000'
)
SID = "6e2fb550-c457-11e9-bb97-0800200c9a66"


def said(text: str) -> Cmcd:
    """Read CMCD that comes in a query, which must mean the same as in a header."""
    in_query = parse_cmcd(find_cmcd({}, f"i=3f2a&CMCD={quote(text, safe='')}&x=1".encode()))
    in_header = parse_cmcd(find_cmcd({b"cmcd-request": text.encode()}, b""))
    assert vars(in_query) == vars(in_header)
    return in_query


def test_what_a_player_says() -> None:
    cmcd = said(SAID)
    assert (cmcd.session_id, cmcd.object_type) == (SID, b"v")
    assert (cmcd.buffer_s, cmcd.throughput_bps) == (21.3, 48_100_000)
    assert (cmcd.encoded_bps, cmcd.top_bps, cmcd.duration_s) == (3_200_000, 6_000_000, 4.004)
    assert (cmcd.starved, cmcd.startup, cmcd.playback_rate_ratio) == (True, True, 1.08)
    assert cmcd.bad_count == 0


def test_headers_are_read_together() -> None:
    headers = {
        b"cmcd-session": b'sid="a"',
        b"cmcd-object": b"br=100,d=2000",
        b"cmcd-status": b"bs",
        b"x": b"br=1",
    }
    cmcd = parse_cmcd(find_cmcd(headers, b"i=3f2a"))
    assert (cmcd.session_id, cmcd.encoded_bps, cmcd.duration_s, cmcd.starved) == ("a", 100_000, 2.0, True)


@pytest.mark.parametrize("query", [b"", b"cmcd=bl%3D1", b"XCMCD=bl%3D1", b"i=3f2a&xCMCD=bl%3D1", b"CMCD="])
def test_without_cmcd_nothing_is_said(query: bytes) -> None:
    assert vars(parse_cmcd(find_cmcd({b"host": b"x"}, query))) in ({}, {"bad_count": 1})


@pytest.mark.parametrize(
    ("text", "buffer_s", "encoded_bps"),
    [
        ("bl=(0;v 2000;a),br=(5000;v 320;a),ot=a,v=2", 2.0, 320_000),
        ("ot=v,bl=(100;v 2000;a),br=(5000;v 320;a)", 0.1, 5_000_000),
        ("bl=(700),br=(6000;a 15000),ot=v", 0.7, 15_000_000),
        ("bl=(700;a),br=(),ot=v", None, 0),
    ],
)
def test_lists_of_version_2_are_about_the_object_asked_for(
    text: str, buffer_s: float | None, encoded_bps: float
) -> None:
    cmcd = said(text)
    assert (cmcd.buffer_s, cmcd.encoded_bps, cmcd.bad_count) == (buffer_s, encoded_bps, 0)


def test_latency_of_version_2() -> None:
    assert said("ltc=4200,v=2").latency_s == 4.2


@pytest.mark.parametrize(
    "text",
    [
        "bl=NaN", "bl=inf", "bl=-1", "bl=1e3", "bl=1_0", "bl= 1", "bl=", "bl", "bl=3600001",
        "bl=" + "9" * 30, 'bl="100"', "mtp=100000001", "br=2000001", "d=\u0661", "bs=1", "bs=true", "su=?2",
        "pr=101", "pr=1.", "sid=abc", 'sid=""', 'sid="' + "a" * 65 + '"', 'sid="\u00e4"', 'sid="a\x01"',
        "ot=video", "BL=1", "=1", "", "bl=(1;v", "(bl=1)", "br=(2000001)",
    ],
)  # fmt: skip
def test_what_is_malformed_is_left_out_and_counted(text: str) -> None:
    cmcd = said(f"{text},tb=6000")
    assert cmcd.top_bps == 6_000_000
    assert cmcd.bad_count == 1
    assert set(vars(cmcd)) == {"top_bps", "bad_count"}


def test_commas_within_quotes_separate_nothing() -> None:
    cmcd = said('cid="a,bl=1,b",sid="x,\\"y",bl=500')
    assert (cmcd.buffer_s, cmcd.bad_count) == (0.5, 0)
    assert cmcd.session_id.startswith("sid-")  # no id of ours, so a hash of it


def test_unknown_keys_are_passed_over() -> None:
    assert vars(said('com.example-key="x",sta=p,ts=1700000000000,v=2,bl=100')) == {"buffer_s": 0.1}


@pytest.mark.parametrize(
    "text", ["bl=1," * MOST_KEYS + "bl=1", 'cid="' + "x" * MOST_BYTES + '"', 'cid="' + ",," * 2100 + '"']
)
def test_too_much_is_not_read_at_all(text: str) -> None:
    assert vars(said(text)) == {"bad_count": 1}


@pytest.mark.parametrize(
    "query",
    [
        b"sid%3D%22abc%22", b"bl%3D1%2Csid%3D%22abc%22%2Cst%3Dv", b'sid="abc"', b'bl=1,sid="abc"',
        b"%20sid=%22abc%22",
    ],
)  # fmt: skip
def test_a_session_is_found_however_it_is_written(query: bytes) -> None:
    assert find_session_id(b"i=3f2a&CMCD=" + query + b"&x=1") == "abc"


@pytest.mark.parametrize("header", [b'sid="abc",sf=h', b'cid="x",sid="abc"', b'sid="abc"'])
def test_a_session_is_found_wherever_in_a_header_it_stands(header: bytes) -> None:
    assert find_session_id(find_cmcd({b"cmcd-session": header}, b"")) == "abc"


@pytest.mark.parametrize("query", [b"", b"bl%3D1", b"x-sid%3D%22abc%22", b"sid%3Dabc", b"sid%3D%22%22"])
def test_no_session_is_found_where_none_is_said(query: bytes) -> None:
    assert find_session_id(b"CMCD=" + query) == ""


@pytest.mark.parametrize(
    ("text", "encoded_bps"),
    [
        ("br=(1;v),br=5000", 5_000_000), ("br=5000,br=(1;v)", 0), ("br=(1;v),br=(2;v)", 0),
        ("ot=v,br=(1;v),br=(2;v)", 2_000),
    ],
)  # fmt: skip
def test_of_a_key_that_comes_twice_the_last_one_counts(text: str, encoded_bps: int) -> None:
    assert said(text).encoded_bps == encoded_bps


@pytest.mark.parametrize("text", ["sid" + "a" * 4000 + '"', 'bl=1,sid="' + "a" * 4000, '"' + "," * 60])
def test_a_quote_that_is_not_closed_is_refused(text: str) -> None:
    assert vars(said(text)) == {"bad_count": 1}


@given(st.binary(max_size=400))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    for text in (data, data.replace(b"\x00", b"%2C").replace(b"\x01", b"sid%3D%22"), b"bl=(" + data):
        check_bounds(parse_cmcd(b"CMCD=" + text))
        find_session_id(b"CMCD=" + text)


@given(
    st.lists(
        st.sampled_from(
            ["bl=", "br", "=", "(", ")", ";v", '"', ",", "%2C", "sid=", "1", "0.5", " ", "bs", "\\"]
        )
    )
)
def test_no_mixture_of_its_parts_breaks_the_parser(parts: list[str]) -> None:
    check_bounds(parse_cmcd(b"CMCD=" + "".join(parts).encode()))


def check_bounds(cmcd: Cmcd) -> None:
    assert 0 <= (cmcd.buffer_s or 0) <= 3600
    assert 0 <= (cmcd.throughput_bps or 0) <= 1e11
    assert 0 <= cmcd.encoded_bps <= 2e9
    assert 0 <= cmcd.top_bps <= 2e9
    assert 0 <= cmcd.duration_s <= 3600
    assert isinstance(cmcd.session_id, str)
    assert isinstance(cmcd.starved, bool)
