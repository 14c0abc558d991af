"""The one address book: ids, storage keys, NATS subjects and buckets."""

from __future__ import annotations

import hashlib
import re
import secrets

from chassis.errors import InvalidArgument

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
# `/hls/streams` and `/api/v1/streams/start` are paths of the API itself.
RESERVED_IDS = frozenset({"streams", "start"})

# What JetStream has stored it publishes again below this; core NATS carries it to all who listen.
NEWS_PREFIX = "weir.news"

TIMELINE_STREAM = "WEIR_TIMELINE"
VIEWS_STREAM = "WEIR_VIEWS"
DEAD_DELIVERIES_STREAM = "WEIR_DEAD_DELIVERIES"
VIEW_STATES_STREAM = "WEIR_VIEW_STATES"
JOBS_STREAM = "WEIR_JOBS"

STREAMS_BUCKET = "weir_streams"
HEADS_BUCKET = "weir_heads"
TOMBSTONES_BUCKET = "weir_tombstones"
RECORDINGS_BUCKET = "weir_recordings"
JOBS_BUCKET = "weir_jobs"
CHUNKS_BUCKET = "weir_chunks"
CLAIMS_BUCKET = "weir_claims"
ABR_VIEWERS_BUCKET = "weir_abr_viewers"
FEEDS_BUCKET = "weir_feeds"
READY_BUCKET = "weir_ready"
KNOWN_HEADS_BUCKET = "weir_known_heads"


def require_id(value: str, *, field: str) -> str:
    """Return `value` if it is an id of the API's alphabet.

    Raises:
        InvalidArgument: Names the field, the value and the alphabet.
    """
    if not ID_PATTERN.fullmatch(value):
        raise InvalidArgument(
            f"{field} is {value[:80]!r}: it must begin with a letter or digit, and hold 1 to 63 letters, "
            "digits, '_', '.' or '-'",
            reason="INVALID_ID",
            field=field,
        )
    if value in RESERVED_IDS:
        raise InvalidArgument(
            f"{field} is {value!r}, a word of the API itself: choose another",
            reason="RESERVED_ID",
            field=field,
        )
    return value


def new_id() -> str:
    """Make an id of 12 hex digits for things that the caller did not name."""
    return secrets.token_hex(6)


def new_incarnation() -> str:
    """Make the mark that sets a stream apart from earlier ones of the same id: 8 hex digits."""
    return secrets.token_hex(4)


def new_attempt() -> str:
    """Make the mark that sets one attempt's objects apart from another's: 8 hex digits."""
    return secrets.token_hex(4)


def token(identifier: str) -> str:
    """Write an id as one token of a NATS subject or KV key: a dot would split it, '=' is in no id."""
    return identifier.replace(".", "=")


def untoken(part: str) -> str:
    """Read an id back from `token`."""
    return part.replace("=", ".")


def timeline_subject(stream_id: str, incarnation: str) -> str:
    return f"weir.timeline.{token(stream_id)}.{incarnation}"


# What was asked for viewers, and what gateways report of them: one log, in the order in which it was stored.
VIEWS_ASKED_SUBJECT = "weir.views.asked"
VIEWS_REPORTED_SUBJECT = "weir.views.reported"
EVERY_VIEW_SUBJECT = "weir.views.>"
# States of that log's fold: their pieces, and what says which of them belong together.
VIEW_PIECES_SUBJECT = "weir.viewstates.pieces"
VIEW_STATE_SUBJECT = "weir.viewstates.newest"
# Where distributors show that they live; core NATS, nothing is stored.
DISTRIBUTOR_BEAT_SUBJECT = "weir.distributors.beat"


def news_subject(subject: str) -> str:
    """Where news of a stored subject is heard."""
    return f"{NEWS_PREFIX}.{subject}"


def task_subject(priority: str, recording_id: str, job_id: str, task: str) -> str:
    """`priority` is 'first' or 'rest'; `task` is 'audio' or a chunk's number."""
    return f"weir.jobs.{priority}.{token(recording_id)}.{job_id}.{task}"


def recording_prefix(recording_id: str) -> str:
    return f"recordings/{recording_id}/"


def source_key(recording_id: str, upload: str) -> str:
    return f"{recording_prefix(recording_id)}{upload}/source"


def probe_key(recording_id: str, upload: str) -> str:
    """What the probe found in the source beside it."""
    return f"{recording_prefix(recording_id)}{upload}/probe.json"


def stream_prefix(stream_id: str, incarnation: str | None = None) -> str:
    """Everything stored for a stream, or for one incarnation of it."""
    return f"streams/{stream_id}/" if incarnation is None else f"streams/{stream_id}/{incarnation}/"


def rendition_prefix(stream_id: str, incarnation: str, rendition_id: str) -> str:
    return f"{stream_prefix(stream_id, incarnation)}{rendition_id}/"


def init_key(stream_id: str, incarnation: str, rendition_id: str, digest: str) -> str:
    """`digest` is the hex SHA-256 of the bytes: equal init segments share a key."""
    return f"{rendition_prefix(stream_id, incarnation, rendition_id)}init-{digest[:8]}.mp4"


def segment_key(  # noqa: PLR0917 - the parts of the key, in its order
    stream_id: str, incarnation: str, rendition_id: str, msn: int, attempt: str, suffix: str
) -> str:
    """`attempt` keeps two attempts at one segment from ever writing the same object."""
    return f"{rendition_prefix(stream_id, incarnation, rendition_id)}{msn:08d}-{attempt}.{suffix}"


def part_key(  # noqa: PLR0917 - the parts of the key, in its order
    stream_id: str, incarnation: str, rendition_id: str, msn: int, part: int, attempt: str, suffix: str
) -> str:
    """Where a part of segment `msn` lies until the whole segment does."""
    prefix = rendition_prefix(stream_id, incarnation, rendition_id)
    return f"{prefix}{msn:08d}.{part:03d}-{attempt}.{suffix}"


def live_beat_subject(stream_id: str) -> str:
    """Where the owner of a live stream shows that it lives; core NATS, nothing is stored."""
    return f"weir.live.beat.{token(stream_id)}"


def live_stop_subject(stream_id: str) -> str:
    """Where the owner of a live stream is asked to end it; core NATS, nothing is stored."""
    return f"weir.live.stop.{token(stream_id)}"


def feed_key(stream_id: str, incarnation: str) -> str:
    """One life of a stream that is fed with ready segments."""
    return f"{token(stream_id)}.{incarnation}"


def ready_key(stream_id: str, incarnation: str, variant_id: str, number: int) -> str:
    """What came under a `sequence_num` of a variant."""
    return f"{feed_key(stream_id, incarnation)}.{token(variant_id)}.{number}"


def known_head_key(stream_id: str) -> str:
    """How the publisher of a stream began when it was looked into last."""
    return token(stream_id)


def abr_viewer_key(stream_id: str, viewer_id: str) -> str:
    """Where a viewer's state of adaptation is kept; a viewer's id may hold what a key may not."""
    return f"{token(stream_id)}.{hashlib.sha256(viewer_id.encode()).hexdigest()[:32]}"


def decisions_subject(replica: str) -> str:
    """Where one abr process tells what it decided, '*' for all of them; core NATS, nothing is stored."""
    return f"weir.abr.decisions.{replica}"


# Where abr processes show that they live, and ask each other for figures; core NATS, nothing is stored.
ABR_BEAT_SUBJECT = "weir.abr.beat"
ABR_FIGURES_SUBJECT = "weir.abr.figures"


def dead_delivery_subject(stream_id: str) -> str:
    return f"weir.dead.deliveries.{token(stream_id)}"
