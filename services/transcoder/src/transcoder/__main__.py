"""Run the transcoder."""

from chassis.lifecycle import run_service
from transcoder.bootstrap import run_transcoder
from transcoder.config import TranscoderConfig

if __name__ == "__main__":
    run_service("transcoder", TranscoderConfig(), run_transcoder)
