"""The public face of streams: what the API shows of them, and what transcoders are told."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from weir.distributor.v1 import distributor_pb2 as api
from weir.media.v1 import media_pb2

from chassis.errors import InvalidArgument
from chassis.layout import require_id
from distributor.convert import TEXT, require_text, write_description, write_time
from distributor.domain.live import LiveWish, Rung, Source, SourceKind
from distributor.domain.stream import Stream, StreamKind, Variant

_PASSWORDS = frozenset({"passphrase", "password", "pass", "token", "key", "streamid", "secret"})


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestUrls:
    """Where publishers find this suite; each is a URL without a path."""

    rtmp: str
    srt: str
    http: str


def write_stream(stream: Stream, *, ingest: IngestUrls | None = None) -> api.Stream:
    """Write a stream as the public API shows it; with `ingest`, also where to push to, and the secret."""
    description, live = stream.description, stream.live
    return api.Stream(
        stream_id=stream.stream_id,
        title=description.title,
        description=live.text if live else "",
        type=description.kind,
        status=stream.state,
        error=stream.error,
        target_duration=description.target_duration_s,
        dvr_window_size=int(description.dvr_window_s // description.target_duration_s),
        dvr_window_s=description.dvr_window_s,
        transcode_profiles=[rung.name for rung in live.rungs] if live else [],
        low_latency=description.part_target_s > 0,
        part_target_s=description.part_target_s,
        container=description.container,
        source=_write_source(live.source, secret=False) if live else None,
        record=description.record,
        max_viewers=live.max_viewers if live else 0,
        variants=[_variant(stream.stream_id, variant) for variant in stream.variants],
        playback_url=f"/hls/{stream.stream_id}/master.m3u8",
        watch_url=f"/watch/{stream.stream_id}",
        ingest=_write_ingest(stream, ingest) if ingest else None,
        created_at=write_time(stream.create_time),
        started_at=write_time(stream.start_time) if stream.start_time else None,
        ended_at=write_time(stream.end_time) if stream.end_time else None,
        recording_id=description.recording_id,
        incarnation=stream.incarnation,
        duration_s=stream.duration_s,
    )


def write_live_settings(stream: Stream) -> api.LiveSettings:
    """Write what a transcoder needs to know, the URL to pull from with its password among it."""
    live = stream.live or LiveWish()
    return api.LiveSettings(
        stream=write_description(stream),
        rungs=[_write_rung(rung) for rung in live.rungs],
        source=_write_source(live.source, secret=True),
    )


def read_stream_key(request: api.AdmitPublisherRequest) -> tuple[str, str]:
    """Read a stream key, and the stream that it is said to be of; empty: the key alone decides."""
    if not request.stream_key:
        raise InvalidArgument("stream_key is empty: give the one that GetStream shows", field="stream_key")
    stream_id = request.stream_id
    return request.stream_key, require_id(stream_id, field="stream_id") if stream_id else ""


def read_failure(request: api.ReportFailureRequest) -> str:
    """Read why there is no media."""
    return require_text(request.error, TEXT, "error", "hold at most 2,000 characters, no controls")


def without_password(url: str) -> str:
    """Show a URL without what lets its bearer in."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    place = parts.netloc.rpartition("@")[2]
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    shown = [(name, "***" if name.lower() in _PASSWORDS else value) for name, value in pairs]
    query = urlencode(shown, safe="*/:") if shown != pairs else parts.query
    has_user = "@" in parts.netloc
    return urlunsplit(parts._replace(netloc=f"***@{place}" if has_user else place, query=query))


def _write_source(source: Source, *, secret: bool) -> api.StreamSource:
    match source.kind:
        case SourceKind.PUSH:
            return api.StreamSource(push=True)
        case SourceKind.PULL:
            return api.StreamSource(pull_url=source.pull_url if secret else without_password(source.pull_url))
        case SourceKind.RECORDING:
            return api.StreamSource(recording_id=source.recording_id, loop=source.loop)


def _write_ingest(stream: Stream, urls: IngestUrls) -> api.Ingest | None:
    live = stream.live
    if live is None or live.source.is_pulled or stream.description.kind is StreamKind.VOD:
        return None
    key = live.stream_key
    return api.Ingest(
        rtmp_url=f"{urls.rtmp}/live",
        srt_url=f"{urls.srt}?streamid={quote(key)}",
        http_url=f"{urls.http}/hls/streams/{stream.stream_id}/ingest",
        stream_key=key,
    )


def _write_rung(rung: Rung) -> media_pb2.Rung:
    return media_pb2.Rung(
        name=rung.name,
        width_pixels=rung.width_pixels,
        height_pixels=rung.height_pixels,
        video_bps=rung.video_bps,
    )


def _variant(stream_id: str, variant: Variant) -> api.Variant:
    return api.Variant(
        variant_id=variant.rendition_id,
        name=variant.name,
        media=variant.media_kind,
        codecs=variant.codecs,
        width_pixels=variant.width_pixels,
        height_pixels=variant.height_pixels,
        frame_rate=variant.frame_rate,
        peak_bps=variant.peak_bps,
        average_bps=variant.average_bps,
        playlist_url=f"/hls/{stream_id}/variants/{variant.rendition_id}/playlist.m3u8",
    )
