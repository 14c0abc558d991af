"""Run the abr service."""

from abr.bootstrap import run_abr
from abr.config import AbrConfig
from chassis.lifecycle import run_service

if __name__ == "__main__":
    run_service("abr", AbrConfig(), run_abr)
