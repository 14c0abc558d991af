"""Render the multivariant playlist: what renditions there are, and what each takes to play."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hls_gateway.domain.bit_rate import BitRate
from hls_gateway.domain.names import IFRAMES, MEDIA, playlist_uri
from hls_gateway.domain.playlist import tags
from hls_gateway.domain.playlist.cohort import EVERYBODY, Cohort, choose_variants
from hls_gateway.domain.playlist.iframes import has_iframes
from hls_gateway.domain.steering import UNNAMED, stable_id, steering_uri
from hls_gateway.domain.stream import MediaKind, Rendition
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

# As many segments after its first one a live stream has begun, whichever rendition is late.
_BEGUN_COUNT = 3
# How the codecs of sound begin (RFC 6381 and its registries).
_AUDIO_CODECS = ("mp4a", "ac-3", "ec-3", "opus", "Opus", "fLaC", "alac")


def is_playable(timeline: Timeline) -> bool:
    """Tell whether every rendition announced so far has something to play.

    Earlier the playlist would have to leave one out, and a player reads it only once. When nothing more will
    come, what there is must do; nor does a live stream that plays already wait for a rendition that joins.
    """
    begun = [bool(known.segments) for known in timeline.played.values()]
    return any(begun) and (timeline.ended or all(begun) or _plays_already(timeline))


def _plays_already(timeline: Timeline) -> bool:
    longest = max(len(known.segments) for known in timeline.played.values())
    return timeline.is_live and longest >= _BEGUN_COUNT


def render_multivariant(timeline: Timeline, *, base: str = "", cohort: Cohort = EVERYBODY) -> str:
    """Render the multivariant playlist of a stream that `is_playable`, for a group of viewers.

    `base` is put before each URI, for a playlist that is served elsewhere than beside its variants.
    """
    scene = _Scene(timeline=timeline, base=base, cohort=cohort)
    groups = _audio_groups(timeline)
    return tags.document(
        (
            tags.EXTM3U,
            tags.INDEPENDENT_SEGMENTS,
            *_steering_lines(scene),
            *(line for group in groups for line in _group_lines(scene, group)),
            *(line for variant in _variants(scene, groups) for line in _variant_lines(scene, variant)),
            *_iframe_lines(scene),
        )
    )


def advertised_bps(timeline: Timeline, variant_id: str) -> int | None:
    """Tell the BANDWIDTH under which a variant is offered; None if it is not."""
    scene = _Scene(timeline=timeline, base="", cohort=EVERYBODY)
    offered = (
        _bandwidth_bps(scene, variant)
        for variant in _variants(scene, _audio_groups(timeline))
        if variant.main.rendition.rendition_id == variant_id
    )
    return max(offered, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What every line needs to know."""

    timeline: Timeline
    base: str
    cohort: Cohort

    def stable_id(self, rendition: Rendition, name: str) -> str | None:
        """Where players are steered, they must know a playlist again on another pathway."""
        return tags.quoted(stable_id(rendition, name)) if self.cohort.origin_id else None

    @property
    def pathway_id(self) -> str | None:
        named = self.cohort.origin_id and self.cohort.origin_id != UNNAMED
        return tags.quoted(self.cohort.origin_id) if named else None

    def uri(self, rendition: Rendition, name: str) -> str:
        return self.base + playlist_uri(self.timeline.stream, rendition.rendition_id, name)

    def peak_bps(self, known: RenditionTimeline, measured: BitRate) -> int:
        """What was measured; while more is to come, also what was declared, since it bounds that."""
        grows = not (self.timeline.ended or known.ended)
        return max(math.ceil(measured.peak_bps), known.rendition.peak_bps if grows else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AudioGroup:
    """Audio renditions that can stand for one another: the same codecs, such as two languages."""

    group_id: str
    members: Sequence[RenditionTimeline]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    """A rendition together with the audio group that plays along, if any."""

    main: RenditionTimeline
    audio: _AudioGroup | None

    @property
    def sounds(self) -> Sequence[RenditionTimeline]:
        return self.audio.members if self.audio else ()

    @property
    def codecs(self) -> Iterable[str]:
        sound = self.sounds[0].rendition.codecs if self.sounds else ()
        return dict.fromkeys((*self.main.rendition.codecs, *sound))


def _audio_groups(timeline: Timeline) -> Sequence[_AudioGroup]:
    """Group the audio that accompanies pictures; without pictures audio is a variant itself."""
    if not _of_kind(timeline, MediaKind.VIDEO):
        return ()
    groups: dict[tuple[str, ...], list[RenditionTimeline]] = {}
    for known in _of_kind(timeline, MediaKind.AUDIO):
        groups.setdefault(known.rendition.codecs, []).append(known)
    return [
        _AudioGroup(group_id=f"audio{number or ''}", members=members)
        for number, members in enumerate(groups.values())
    ]


def _variants(scene: _Scene, groups: Sequence[_AudioGroup]) -> Iterator[_Variant]:
    for main in _chosen(scene):
        with_audio = groups if main.rendition.media_kind is MediaKind.VIDEO else ()
        for group in with_audio or (None,):
            yield _Variant(main=main, audio=group)


def _chosen(scene: _Scene) -> Sequence[RenditionTimeline]:
    pictures = _of_kind(scene.timeline, MediaKind.VIDEO, MediaKind.MUXED)
    return choose_variants(pictures or _of_kind(scene.timeline, MediaKind.AUDIO), scene.cohort)


def _of_kind(timeline: Timeline, *kinds: MediaKind) -> Sequence[RenditionTimeline]:
    return [one for one in _offered(timeline) if one.rendition.media_kind in kinds]


def _offered(timeline: Timeline) -> Sequence[RenditionTimeline]:
    """Leave out what has nothing to play, and what was given up."""
    begun = [known for known in timeline.played.values() if known.segments]
    return [known for known in begun if not timeline.is_given_up(known)]


def _steering_lines(scene: _Scene) -> Iterator[str]:
    cohort = scene.cohort
    if cohort.origin_id:
        server = ("SERVER-URI", tags.quoted(scene.base + steering_uri(cohort.session_id)))
        yield tags.content_steering((server, ("PATHWAY-ID", scene.pathway_id)))


def _group_lines(scene: _Scene, group: _AudioGroup) -> Iterator[str]:
    names = Counter(member.rendition.name for member in group.members)
    for index, member in enumerate(group.members):
        rendition = member.rendition
        has_own_name = rendition.name and names[rendition.name] == 1  # 4.4.6.1.1: no two alike in a group
        yield tags.media(
            (
                ("TYPE", "AUDIO"),
                ("GROUP-ID", tags.quoted(group.group_id)),
                ("NAME", tags.quoted(rendition.name if has_own_name else rendition.rendition_id)),
                ("LANGUAGE", tags.quoted(rendition.language) if rendition.language else None),
                ("DEFAULT", "NO" if index else "YES"),
                ("AUTOSELECT", "YES"),
                ("CHANNELS", tags.quoted(str(rendition.channel_count)) if rendition.channel_count else None),
                ("STABLE-RENDITION-ID", scene.stable_id(rendition, MEDIA)),
                ("URI", tags.quoted(scene.uri(rendition, MEDIA))),
            )
        )


def _variant_lines(scene: _Scene, variant: _Variant) -> Iterator[str]:
    rendition = variant.main.rendition
    yield tags.stream_inf(
        (
            ("BANDWIDTH", str(_bandwidth_bps(scene, variant))),
            ("AVERAGE-BANDWIDTH", str(_average_bps(variant))),
            ("CODECS", tags.quoted(",".join(variant.codecs))),
            ("RESOLUTION", _resolution(rendition)),
            ("FRAME-RATE", tags.frame_rate(rendition.frame_rate) if rendition.frame_rate else None),
            ("AUDIO", tags.quoted(variant.audio.group_id) if variant.audio else None),
            ("SCORE", _score(scene, variant)),
            ("STABLE-VARIANT-ID", scene.stable_id(rendition, MEDIA)),
            ("PATHWAY-ID", scene.pathway_id),
        )
    )
    yield scene.uri(rendition, MEDIA)


def _score(scene: _Scene, variant: _Variant) -> str | None:
    """Say how good a variant is beside the others of a tailored playlist: its place from low to high."""
    if not scene.cohort.is_tailored:
        return None
    rates = sorted({known.rendition.target_bps for known in _chosen(scene)})
    return tags.decimal(rates.index(variant.main.rendition.target_bps) + 1.0)


def _bandwidth_bps(scene: _Scene, variant: _Variant) -> int:
    """The largest sum of peaks that playing this variant can ask for (4.4.6.2)."""
    sounds = (scene.peak_bps(sound, sound.bit_rate) for sound in variant.sounds)
    return scene.peak_bps(variant.main, variant.main.bit_rate) + max(sounds, default=0)


def _average_bps(variant: _Variant) -> int:
    sounds = (sound.bit_rate.average_bps for sound in variant.sounds)
    return math.ceil(variant.main.bit_rate.average_bps + max(sounds, default=0.0))


def _iframe_lines(scene: _Scene) -> Iterator[str]:
    chosen = _chosen(scene) if scene.cohort.is_tailored else _offered(scene.timeline)
    for known in chosen:
        if not has_iframes(known):
            continue
        codecs = (codec for codec in known.rendition.codecs if not codec.startswith(_AUDIO_CODECS))
        yield tags.i_frame_stream_inf(
            (
                ("BANDWIDTH", str(scene.peak_bps(known, known.iframe_bit_rate))),
                ("AVERAGE-BANDWIDTH", str(math.ceil(known.iframe_bit_rate.average_bps))),
                ("CODECS", tags.quoted(",".join(codecs))),
                ("RESOLUTION", _resolution(known.rendition)),
                ("URI", tags.quoted(scene.uri(known.rendition, IFRAMES))),
                ("STABLE-VARIANT-ID", scene.stable_id(known.rendition, IFRAMES)),
                ("PATHWAY-ID", scene.pathway_id),
            )
        )


def _resolution(rendition: Rendition) -> str | None:
    return f"{rendition.width_pixels}x{rendition.height_pixels}" if rendition.has_picture else None
