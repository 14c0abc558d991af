"""Use-case of deleting a recording with everything that was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chassis import layout
from transcoder.domain.job import JobState
from transcoder.domain.recording import delete_recording
from transcoder.ports import JobStore, MediaFolders, RecordingStore, Timeline
from transcoder.service_drive import Driver
from transcoder.service_recordings import change_recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What deleting works with."""

    recordings: RecordingStore
    jobs: JobStore
    folders: MediaFolders
    timeline: Timeline


class Deletion:
    """Deletes recordings."""

    def __init__(self, ports: Ports, driver: Driver) -> None:
        self._ports = ports
        self._driver = driver

    async def delete(self, recording_id: str) -> None:
        """Remove a recording: running work first, then stream, renditions and source, its record last.

        Readers do not see it any more from the first step on. Should a step fail, deleting again goes on.

        Raises:
            NotFound: There is no such recording.
        """
        await change_recording(self._ports.recordings, recording_id, delete_recording)
        made = await self._end_job(recording_id)
        await self._ports.timeline.remove(recording_id, None)
        for job_id in made:  # a live stream may bear the same id: what it has shown stays
            await self._ports.folders.remove(layout.stream_prefix(recording_id, job_id))
        await self._ports.folders.remove(layout.recording_prefix(recording_id))
        await self._ports.jobs.remove(recording_id)
        await self._ports.recordings.remove(recording_id)

    async def _end_job(self, recording_id: str) -> Sequence[str]:
        """End the job, if there is one; answers whose objects there may be: its own, and earlier ones'."""
        kept = await self._ports.jobs.get(recording_id)
        if kept is None:
            return ()
        job = kept.value
        await self._driver.conclude(job, JobState.CANCELLED)
        await self._driver.drive(recording_id, job.job_id)
        return (job.job_id, *job.replaces)
