"""API.md as a table: every route, and the JSON names that its request and response must have."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One line of API.md: names are separated by blanks, `a.b` is field b of the message (or map value) a."""

    route: str
    request: str = ""
    response: str = ""


RECORDING = (
    "recording_id title state container duration_s width_pixels height_pixels frame_rate codecs size_bytes"
)
STREAM = (
    "stream_id type status variants playback_url created_at "
    "ingest.rtmp_url ingest.srt_url ingest.http_url ingest.stream_key"
)
VIEWER = (
    "viewer_id current_bitrate segments_received bytes_received buffer_health connection_quality duration"
)
VIEWERS = " ".join(f"viewers.{name}" for name in VIEWER.split())

API = (
    Endpoint(route="POST /api/v1/recordings", request="recording_id title source_url", response=RECORDING),
    Endpoint(route="PUT /api/v1/recordings/{recording_id}/source", request="body", response=RECORDING),
    Endpoint(
        route="GET /api/v1/recordings",
        request="page_size page_token",
        response="recordings.recording_id recordings.title recordings.state next_page_token",
    ),
    Endpoint(route="GET /api/v1/recordings/{recording_id}", response=RECORDING),
    Endpoint(route="DELETE /api/v1/recordings/{recording_id}"),
    Endpoint(
        route="POST /api/v1/recordings/{recording_id}/abr/quality",
        request="viewer_id bandwidth buffer_s buffer_health current_quality policy",
        response="bitrate_level bitrate_label recommended_bitrate_kbps resolution frame_rate policy "
        "reason message timestamp",
    ),
    Endpoint(
        route="POST /api/v1/recordings/{recording_id}/abr/metrics",
        request="viewer_id segment_number request_time_ms download_time_ms bytes_downloaded bitrate_kbps "
        "buffer_occupancy_percent",
        response="accepted current_bitrate_kbps should_upscale should_downscale message timestamp",
    ),
    Endpoint(
        route="GET /api/v1/recordings/{recording_id}/abr/stats",
        request="viewer_id",
        response="current_bitrate_kbps available_bitrates_kbps optimal_bitrate_kbps recent_segments_count "
        "average_download_time_ms average_buffer_health_percent network_stats qoe timestamp",
    ),
    Endpoint(
        route="POST /api/v1/recordings/{recording_id}/transcode/quality",
        request="input_path profiles container encryption",
        response="recording_id job_ids profiles message timestamp",
    ),
    Endpoint(
        route="GET /api/v1/recordings/{recording_id}/transcode/progress",
        response="recording_id total_jobs completed_jobs failed_jobs average_progress_percent is_complete "
        "jobs.state jobs.percent jobs.speed_ratio jobs.eta_s jobs.error queue_stats timestamp",
    ),
    Endpoint(route="POST /api/v1/recordings/{recording_id}/transcode/cancel", request="job_id"),
    Endpoint(
        route="POST /api/v1/streams/start",
        request="recording_id max_viewers profile",
        response="recording_id stream_id status max_viewers profiles message timestamp",
    ),
    Endpoint(
        route="POST /api/v1/streams/{stream_id}",
        request="viewer_id initial_bitrate",
        response="recording_id viewer_id session_id current_bitrate buffer_health playback_url message "
        "timestamp",
    ),
    Endpoint(
        route="GET /api/v1/streams/{stream_id}",
        response="recording_id active_viewers peak_viewers total_segments_served total_bytes_served message "
        f"timestamp {VIEWERS}",
    ),
    Endpoint(route="DELETE /api/v1/streams/{stream_id}", request="viewer_id"),
    Endpoint(
        route="POST /api/v1/segments/deliver",
        request="stream_id segment_id viewer_id rendition",
        response="recording_id segment_id viewer_id success deliveries.edge deliveries.attempts "
        "deliveries.bytes deliveries.duration_ms deliveries.error message timestamp",
    ),
    Endpoint(
        route="POST /api/v1/viewers/adapt-quality",
        request="stream_id viewer_id buffer_health policy",
        response="recording_id viewer_id old_bitrate new_bitrate buffer_health connection_quality reason "
        "message timestamp",
    ),
    Endpoint(
        route="GET /api/v1/distribution/metrics",
        response="total_distributors total_active_viewers total_segments_served total_bytes_served "
        "total_delivery_failures cdn_cache_hit_rate queue_depth workers message timestamp",
    ),
    Endpoint(route="GET /api/v1/distribution/health", response="status"),
    Endpoint(
        route="POST /hls/streams",
        request="stream_id title description type target_duration dvr_window_size dvr_window_s "
        "transcode_profiles low_latency container source.pull_url source.push encryption record max_viewers",
        response=STREAM,
    ),
    Endpoint(
        route="GET /hls/streams",
        request="page_size page_token filter",
        response="streams.stream_id next_page_token",
    ),
    Endpoint(route="GET /hls/streams/{stream_id}", response=STREAM),
    Endpoint(route="DELETE /hls/streams/{stream_id}"),
    Endpoint(route="POST /hls/streams/{stream_id}/start", response=STREAM),
    Endpoint(route="POST /hls/streams/{stream_id}/stop", response=STREAM),
    Endpoint(
        route="POST /hls/streams/{stream_id}/ingest",
        request="variant_id sequence_num body",
        response="status",
    ),
    Endpoint(
        route="GET /hls/streams/{stream_id}/stats",
        response="current_viewers total_views total_bandwidth average_latency segments_served error_rate "
        "variant_stats",
    ),
    # Not in API.md's tables: clips of the DVR window, and PUT for publishers that push as files are put.
    Endpoint(
        route="POST /hls/streams/{stream_id}/clips",
        request="start_time end_time",
        response="stream_id playback_url",
    ),
    Endpoint(route="PUT /hls/streams/{stream_id}/ingest", request="body", response="status"),
)
