"""The composition of what becomes of recordings: how they come in, the jobs, and those who work at them."""

from __future__ import annotations

from transcoder import service_attempt, service_drive, service_encode, service_intake, service_jobs
from transcoder.adapters.encoder import Encoder, EncoderSettings
from transcoder.adapters.fetcher import HttpFetcher
from transcoder.adapters.probe import probe
from transcoder.adapters.timeline_client import TimelineClient
from transcoder.bootstrap_ground import Stores, now, worker_name
from transcoder.config import BEATS_PER_ACK_WAIT, TranscoderConfig
from transcoder.ingest.pull import Pulls
from transcoder.ports import Lane
from transcoder.service_drive import Driver
from transcoder.service_encode import Encoding
from transcoder.service_intake import BEAT_S, Intake
from transcoder.service_jobs import Jobs
from transcoder.service_pool import Pool, Slots
from transcoder.service_receive import Limits
from transcoder.service_worker import Worker, WorkRules

DRIVERS_COUNT = 2  # driving takes milliseconds, but for the end of a job


def build_intake(config: TranscoderConfig, stores: Stores, fetcher: HttpFetcher) -> Intake:
    """Build how recordings come in."""
    ports = service_intake.Ports(
        recordings=stores.recordings,
        media=stores.media,
        folders=stores.folders,
        files=stores.files,
        probes=stores.probes,
        probe=probe,
        fetcher=fetcher,
        clock=now,
    )
    limits = Limits(size_bytes=config.upload_limit_bytes, silence_s=config.upload_silence_s)
    return Intake(ports, limits, beat_s=min(BEAT_S, config.transcode_ack_wait_s / BEATS_PER_ACK_WAIT))


def build_driver(config: TranscoderConfig, stores: Stores, timeline: TimelineClient) -> Driver:
    """Build who leads jobs through their states."""
    return Driver(
        service_drive.Ports(
            jobs=stores.jobs,
            outputs=stores.outputs,
            claims=stores.claims,
            residue=stores.residue,
            queue=stores.queue,
            media=stores.media,
            folders=stores.folders,
            timeline=timeline,
            clock=now,
        ),
        beat_s=config.transcode_heartbeat_s,
        lost_after_s=config.transcode_lost_after_s,
    )


def build_jobs(config: TranscoderConfig, stores: Stores, intake: Intake, driver: Driver) -> Jobs:
    """Build what is asked of jobs."""
    ports = service_jobs.Ports(
        recordings=stores.recordings,
        jobs=stores.jobs,
        outputs=stores.outputs,
        claims=stores.claims,
        residue=stores.residue,
        probes=stores.probes,
        queue=stores.queue,
        clock=now,
    )
    return Jobs(ports, intake, driver, progress_interval_s=config.progress_interval_s)


def build_pool(
    config: TranscoderConfig, stores: Stores, intake: Intake, driver: Driver, pulls: Pulls
) -> Pool:
    """Build the pool of those who work at what is queued."""
    worker = _build_worker(config, stores, driver)
    return Pool(
        stores.queue,
        (
            Slots(count=config.transcode_workers, lanes=(Lane.FIRST, Lane.REST), handle=worker.work),
            Slots(count=DRIVERS_COUNT, lanes=(Lane.DRIVE,), handle=driver.attend),
            Slots(count=config.fetch_workers, lanes=(Lane.FETCH,), handle=intake.fetch),
            Slots(count=config.live_workers, lanes=(Lane.LIVE,), handle=pulls.pull),
        ),
    )


def _build_worker(config: TranscoderConfig, stores: Stores, driver: Driver) -> Worker:
    encoder = Encoder(EncoderSettings(ffmpeg_path=config.ffmpeg, stall_timeout_s=config.transcode_stall_s))
    encoding = Encoding(
        service_encode.Ports(
            outputs=stores.outputs,
            media=stores.media,
            queue=stores.queue,
            files=stores.files,
            encoder=encoder,
        ),
        driver.announce,
    )
    return Worker(
        service_attempt.Ports(
            jobs=stores.jobs, outputs=stores.outputs, claims=stores.claims, media=stores.media, clock=now
        ),
        stores.residue,
        encoding,
        driver,
        WorkRules(
            max_attempts_count=config.transcode_max_attempts,
            retry_delay_s=config.transcode_retry_delay_s,
            heartbeat_s=config.transcode_heartbeat_s,
            lease_s=config.transcode_ack_wait_s,
            worker_name=worker_name(),
        ),
    )
