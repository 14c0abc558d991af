"""Find the programs and files of the suite that came in wheels."""

from __future__ import annotations

import sysconfig
from importlib import resources
from pathlib import Path

import imageio_ffmpeg


def envoy_path() -> str:
    return _script("envoy")


def nats_server_path() -> str:
    return _script("nats-server")


def ffmpeg_path() -> str:
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def descriptors_path() -> str:
    """Return the file of contracts that Envoy reads, from the weir-protos wheel."""
    return str(resources.files("weir") / "descriptors.pb")


def envoy_config_path() -> Path:
    """Return Envoy's configuration, the one of the checkout that this package is run from."""
    return Path(__file__).parents[4] / "envoy" / "envoy.yaml"


def _script(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)
