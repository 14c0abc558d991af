"""What stream a publisher means: the parts of its URL that it sends in `connect` and `publish`.

rtmp://host/live/KEY as most encoders split it (app "live", name "KEY") and as others do (app "live/KEY", no
name), without an application, or with the stream's id before the key: live/STREAM/KEY.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from transcoder.ingest.publication import PublishClaim
from transcoder.ingest.rtmp.message import Refused

KEY_CHARACTERS = 256
_PARTS_COUNT = 3
_TRUE = {"1", "true"}


def parse_publish_name(app: str, name: str, peer: str) -> PublishClaim:
    """Make a claim out of `connect`'s app and `publish`'s name.

    Raises:
        Refused: They hold no key, or more than one can understand.
    """
    app_path, _, app_query = app.partition("?")
    name_path, _, name_query = name.partition("?")
    parts = [part for part in f"{app_path}/{name_path}".split("/") if part]
    if not 1 <= len(parts) <= _PARTS_COUNT or any(len(part) > KEY_CHARACTERS for part in parts):
        raise Refused(
            "NetStream.Publish.Denied", "publish to rtmp://HOST/live with the stream key as its name"
        )
    return PublishClaim(
        protocol="rtmp",
        peer=peer,
        stream_key=parts[-1],
        stream_id=parts[1] if len(parts) == _PARTS_COUNT else "",
        take_over=_asks_take_over(f"{app_query}&{name_query}"),
    )


def _asks_take_over(query: str) -> bool:
    try:
        return _TRUE.issuperset(parse_qs(query, max_num_fields=16).get("take_over", ["0"]))
    except ValueError:
        return False
