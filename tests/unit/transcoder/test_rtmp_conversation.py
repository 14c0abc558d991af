"""What publishers ask is answered as OBS and ffmpeg expect it; what makes no sense is refused clearly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.rtmp_peer import command
from transcoder.ingest.publication import PublishClaim
from transcoder.ingest.rtmp.amf import AmfValue, decode_amf, encode_amf
from transcoder.ingest.rtmp.chunk_reader import ChunkReader
from transcoder.ingest.rtmp.conversation import WINDOW_BYTES, Acknowledger, Answer, Conversation
from transcoder.ingest.rtmp.message import Message, MessageType, Refused, RtmpError
from transcoder.ingest.rtmp.publish_name import KEY_CHARACTERS, parse_publish_name

PEER = "192.0.2.7:41532"
CONNECT = command("connect", 1, {"app": "live", "tcUrl": "rtmp://weir/live"})


def read(data: bytes) -> list[Message]:
    return list(ChunkReader(1 << 20).feed(data))


def commands(data: bytes) -> list[list[AmfValue]]:
    """What commands a server's bytes hold."""
    return [decode_amf(message.body) for message in read(data) if message.kind == MessageType.COMMAND]


def code(data: bytes) -> tuple[AmfValue, str]:
    """The name of the last command and the code in it."""
    *_, values = commands(data)
    info = values[3]
    assert isinstance(info, dict)
    return values[0], str(info["code"])


def connected(app: str = "live") -> Conversation:
    conversation = Conversation(PEER)
    conversation.answer(command("connect", 1, {"app": app}))
    return conversation


def ask(conversation: Conversation, name: str, *values: object, transaction: float = 2) -> Answer:
    return conversation.answer(command(name, transaction, None, *values, stream=1))


class TestConnect:
    def test_answer_sets_the_wire_up_and_says_success(self) -> None:
        answer = Conversation(PEER).answer(CONNECT)
        kinds = [message.kind for message in read(answer.data)]
        assert kinds == [MessageType.WINDOW_SIZE, MessageType.PEER_BANDWIDTH, MessageType.COMMAND]
        assert code(answer.data) == ("_result", "NetConnection.Connect.Success")

    def test_enhanced_codecs_are_offered_to_who_asks(self) -> None:
        details = {"app": "live", "fourCcList": ["hvc1"]}
        (values,) = commands(Conversation(PEER).answer(command("connect", 1, details)).data)
        assert isinstance(values[3], dict)
        offered = values[3]["fourCcList"]
        assert isinstance(offered, list)
        assert {"hvc1", "av01", "vp09", "Opus"} <= set(offered)

    def test_nothing_goes_before_it(self) -> None:
        with pytest.raises(Refused, match="send connect first"):
            ask(Conversation(PEER), "publish", "key", "live")

    def test_nobody_connects_twice(self) -> None:
        with pytest.raises(Refused, match="connected already"):
            connected().answer(CONNECT)


class TestPublish:
    def test_obs_is_answered_step_by_step(self) -> None:
        conversation = connected()
        assert commands(ask(conversation, "releaseStream", "key").data) == [["_result", 2, None]]
        assert code(ask(conversation, "FCPublish", "key").data) == ("onFCPublish", "NetStream.Publish.Start")
        assert commands(ask(conversation, "createStream", transaction=4).data) == [["_result", 4, None, 1]]
        claim = ask(conversation, "publish", "key", "live").claim
        assert claim == PublishClaim(protocol="rtmp", peer=PEER, stream_key="key")
        begin, status = read(conversation.accept())
        assert (begin.kind, begin.body) == (MessageType.USER_CONTROL, bytes.fromhex("0000 00000001"))
        assert status.stream == 1
        assert code(conversation.accept()) == ("onStatus", "NetStream.Publish.Start")
        ended = ask(conversation, "FCUnpublish", "key")
        assert ended.ended
        assert code(ended.data) == ("onStatus", "NetStream.Unpublish.Success")
        assert ask(conversation, "deleteStream", 1).ended is False

    @pytest.mark.parametrize("name", ["FCUnpublish", "deleteStream", "closeStream"])
    def test_each_way_to_end_ends(self, name: str) -> None:
        conversation = connected()
        ask(conversation, "publish", "key", "live")
        conversation.accept()
        assert ask(conversation, name, "key").ended

    def test_refusal_is_an_error_on_its_stream(self) -> None:
        conversation = connected()
        ask(conversation, "publish", "key", "live")
        data = conversation.refuse(Refused("NetStream.Publish.Denied", "no stream has this key"))
        (values,) = commands(data)
        assert values[3] == {
            "level": "error",
            "code": "NetStream.Publish.Denied",
            "description": "no stream has this key",
        }
        assert read(data)[0].stream == 1

    def test_one_publication_at_a_time(self) -> None:
        conversation = connected()
        ask(conversation, "publish", "key", "live")
        conversation.accept()
        with pytest.raises(Refused, match="publishes already"):
            ask(conversation, "publish", "other", "live")

    def test_streams_are_bounded(self) -> None:
        conversation = connected()
        with pytest.raises(Refused, match="at most"):
            for _ in range(100):
                ask(conversation, "createStream")

    def test_nobody_plays(self) -> None:
        with pytest.raises(Refused, match="over HLS") as refused:
            ask(connected(), "play", "key")
        assert refused.value.code == "NetStream.Play.StreamNotFound"


class TestOtherMessages:
    def test_unknown_command_fails_if_an_answer_is_expected(self) -> None:
        assert code(ask(connected(), "getStreamLength", transaction=5).data) == (
            "_error",
            "NetConnection.Call.Failed",
        )
        assert ask(connected(), "_checkbw", transaction=0) == Answer()

    def test_amf_3_form_of_a_command_is_taken(self) -> None:
        message = Message(kind=MessageType.COMMAND_AMF3, body=b"\0" + CONNECT.body)
        assert code(Conversation(PEER).answer(message).data)[1] == "NetConnection.Connect.Success"

    def test_ping_is_answered_with_its_time(self) -> None:
        ping = Message(kind=MessageType.USER_CONTROL, body=bytes.fromhex("0006 0a0b0c0d"))
        (pong,) = read(Conversation(PEER).answer(ping).data)
        assert pong.body == bytes.fromhex("0007 0a0b0c0d")

    @pytest.mark.parametrize("body", [b"", encode_amf(1, 1), encode_amf("connect", "one"), b"\x02\0"])
    def test_commands_that_are_none_are_refused(self, body: bytes) -> None:
        with pytest.raises(RtmpError):
            Conversation(PEER).answer(Message(kind=MessageType.COMMAND, body=body))

    @given(st.integers(0, 30), st.binary(max_size=60))
    def test_any_message_is_answered_or_refused(self, kind: int, body: bytes) -> None:
        try:
            answer = connected().answer(Message(kind=kind, body=body))
        except (Refused, RtmpError):
            return
        read(answer.data)


class TestNames:
    @pytest.mark.parametrize(
        ("app", "name", "key", "stream", "take_over"),
        [
            ("live", "key", "key", "", False),
            ("live/key", "", "key", "", False),
            ("key", "", "key", "", False),
            ("", "key", "key", "", False),
            ("live/one", "key", "key", "one", False),
            ("live", "one/key", "key", "one", False),
            ("/live/", "/key/", "key", "", False),
            ("live", "key?take_over=1", "key", "", True),
            ("live?take_over=true", "key", "key", "", True),
            ("live", "key?take_over=0", "key", "", False),
            ("live", "key?x=1", "key", "", False),
            ("live", "key?" + "&".join("abcdefghijklmnopqrstuvw"), "key", "", False),
        ],
    )
    def test_key_is_the_last_part(
        self, app: str, name: str, *, key: str, stream: str, take_over: bool
    ) -> None:
        assert parse_publish_name(app, name, PEER) == PublishClaim(
            protocol="rtmp", peer=PEER, stream_key=key, stream_id=stream, take_over=take_over
        )

    @pytest.mark.parametrize(
        ("app", "name"), [("", ""), ("live/a/b", "c"), ("live", "k" * (KEY_CHARACTERS + 1))]
    )
    def test_what_holds_no_key_is_refused(self, app: str, name: str) -> None:
        with pytest.raises(Refused, match="stream key"):
            parse_publish_name(app, name, PEER)

    @given(st.text(max_size=40), st.text(max_size=40))
    def test_any_text_is_a_claim_or_refused(self, app: str, name: str) -> None:
        try:
            claim = parse_publish_name(app, name, PEER)
        except Refused:
            return
        assert claim.stream_key


class TestAcknowledger:
    def test_speaks_at_half_of_the_window(self) -> None:
        acknowledger = Acknowledger()
        assert acknowledger.count(WINDOW_BYTES // 2 - 1) == b""
        (message,) = read(acknowledger.count(1))
        assert int.from_bytes(message.body) == WINDOW_BYTES // 2
        assert acknowledger.count(WINDOW_BYTES // 2 - 1) == b""

    def test_window_is_the_peers_choice(self) -> None:
        acknowledger = Acknowledger()
        acknowledger.set_window(Message(kind=MessageType.WINDOW_SIZE, body=(1000).to_bytes(4)))
        assert acknowledger.count(500)
        acknowledger.set_window(Message(kind=MessageType.WINDOW_SIZE, body=bytes(4)))
        assert acknowledger.count(1)

    def test_count_wraps_at_32_bits(self) -> None:
        (message,) = read(Acknowledger().count(2**32 + 5))
        assert message.body == (5).to_bytes(4)
