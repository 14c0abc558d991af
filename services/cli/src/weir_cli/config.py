"""Settings of `weir run`, from the environment; the only place of this package that reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RunConfig(BaseSettings):
    """How the suite runs on this machine; each field is the variable WEIR_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="WEIR_", frozen=True, use_attribute_docstrings=True)

    port: Annotated[int, Field(ge=1024, le=65_400)] = 8080
    """The public port, 1024 to 65,400; all other ports follow from it, so two suites can run side by side."""

    data: Path = Path(".weir")
    """Folder for everything that is stored: objects, NATS, logs. Created when it is missing."""

    demo: bool = True
    """Make, upload and transcode a sample when there are no recordings."""

    replicas: Annotated[int, Field(ge=1, le=9)] = 1
    """Processes of each service, 1 to 9."""

    storage_url: str = ""
    """Object storage as the services take it; empty: the folder `objects` in `data`."""

    log_format: Literal["auto", "json", "console"] = "json"
    """How services write their logs; the terminal shows JSON lines in a readable form."""


def inherited_environment() -> dict[str, str]:
    """Return the variables that every process of the suite starts with."""
    return dict(os.environ)
