"""Silent frames are AAC that every decoder plays as silence."""

from __future__ import annotations

import av
import pytest

from transcoder.domain.silence import silent_aac_frame


@pytest.mark.parametrize("channels", [1, 2])
def test_silent_frames_decode_to_silence(channels: int) -> None:
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = (2 << 11 | 3 << 7 | channels << 3).to_bytes(2, "big")  # AAC-LC, 48 kHz
    frames = [frame for _ in range(3) for frame in decoder.decode(av.Packet(silent_aac_frame(channels)))]
    assert [(frame.samples, frame.layout.nb_channels) for frame in frames] == [(1024, channels)] * 3
    assert not any(any(bytes(plane)) for frame in frames for plane in frame.planes)
