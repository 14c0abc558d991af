from __future__ import annotations

from pathlib import Path

from weir_cli.client import Progress, read_progress
from weir_cli.sample import plan_sample_command


def test_command_of_the_sample() -> None:
    assert " ".join(plan_sample_command("ffmpeg", Path("/data/sample.mp4"))) == (
        "ffmpeg -hide_banner -loglevel error -nostdin -y "
        "-f lavfi -i testsrc2=size=1280x720:rate=30:duration=30 "
        "-f lavfi -i sine=frequency=330:beep_factor=3:sample_rate=48000:duration=30 "
        "-c:v libx264 -preset ultrafast -crf 23 -pix_fmt yuv420p -c:a aac -b:a 128k -ac 2 "
        "-movflags +faststart file:/data/sample.mp4"
    )


def test_recording_without_a_job_has_no_state() -> None:
    assert read_progress({"jobs": {}}) == Progress(state="", percent=0.0, speed_ratio=0.0, error="")


def test_newest_job_counts() -> None:
    def job(state: str, time: str) -> dict[str, object]:
        return {"state": state, "percent": 50.0, "speed_ratio": 1.5, "error": "", "create_time": time}

    jobs = {"b": job("FAILED", "2026-11-22T07:00:00Z"), "a": job("RUNNING", "2026-11-22T08:00:00Z")}
    assert read_progress({"jobs": jobs}) == Progress(state="RUNNING", percent=50.0, speed_ratio=1.5, error="")
