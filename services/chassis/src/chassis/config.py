"""Settings that every service has.

Each is an environment variable: WEIR_ and the field's name in capitals.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.storage_options import StorageOptions

Address = Annotated[str, StringConstraints(pattern=r"^[^\s:]+(:[^\s:]+)*:\d{1,5}$")]


class ServiceConfig(BaseSettings):
    """The settings that all services share; each service's own config extends it."""

    model_config = SettingsConfigDict(
        env_prefix="WEIR_", frozen=True, populate_by_name=True, use_attribute_docstrings=True
    )

    grpc_address: Address = "0.0.0.0:50051"
    """Where this service's gRPC server listens, host:port."""

    health_address: Address | Literal[""] = ""
    """Where gRPC health alone is answered without TLS, for whoever has no certificate; empty: nowhere."""

    tls_cert_file: str = ""
    """PEM: what this service shows, to callers and to peers; empty: no TLS. Read again when it changes."""

    tls_key_file: str = ""
    """PEM: the certificate's key."""

    tls_ca_file: str = ""
    """PEM: the authority whose certificates peers must show."""

    nats_url: str = "nats://nats:4222"
    """NATS servers, comma-separated."""

    nats_connect_timeout_s: Annotated[float, Field(gt=0, le=600)] = 20.0
    """How long a starting service waits for a first NATS server, seconds, above 0 to 600."""

    nats_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Copies that JetStream keeps of each stream and bucket: 1 with one server, 3 with three."""

    storage_url: str = "file:///var/lib/weir/objects"
    """Object storage: file:///folder, memory:, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix."""

    storage_connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long a connection to a cloud's storage may take, seconds, above 0 to 60."""

    storage_answer_timeout_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """How long a cloud's storage may be silent while we wait for it, seconds, above 0 to 600."""

    storage_retry_count: Annotated[int, Field(ge=0, le=100)] = 3
    """How often a request to a cloud's storage is tried again after a failure that may pass, 0 to 100."""

    storage_retry_window_s: Annotated[float, Field(ge=0, le=240)] = 20.0
    """How long after its beginning a request is still tried again, seconds, 0 to 240."""

    storage_part_bytes: Annotated[int, Field(ge=5 * 1024 * 1024, le=256 * 1024 * 1024)] = 12 * 1024 * 1024
    """Size of the parts of a multipart upload, bytes, 5 to 256 MiB; clouds take 10,000 of them at most."""

    storage_allow_http: bool = False
    """Speak with an S3, Google or Azure server without TLS, as those of one's own may want it."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """JSON lines, a coloured console, or by whether stdout is a terminal."""

    otlp_endpoint: Annotated[str, Field(validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")] = ""
    """Base URL of an OpenTelemetry collector (OTLP over HTTP) that gets the traces; empty: none are made."""

    shutdown_grace_s: Annotated[float, Field(ge=0, le=600)] = 10.0
    """How long requests in flight may go on after a stop was asked for, seconds, 0 to 600."""

    @model_validator(mode="after")
    def _require_all_of_tls(self) -> Self:
        files = {
            "tls_cert_file": self.tls_cert_file,
            "tls_key_file": self.tls_key_file,
            "tls_ca_file": self.tls_ca_file,
        }
        missing = [name for name, path in files.items() if not path]
        if 0 < len(missing) < len(files):
            raise ValueError(f"{missing[0]} is empty: give all of {', '.join(files)}, or none for no TLS")
        return self

    @property
    def storage_options(self) -> StorageOptions:
        """How storage in a cloud is spoken with."""
        return StorageOptions(
            connect_timeout_s=self.storage_connect_timeout_s,
            answer_timeout_s=self.storage_answer_timeout_s,
            retry_count=self.storage_retry_count,
            retry_window_s=self.storage_retry_window_s,
            part_bytes=self.storage_part_bytes,
            allow_http=self.storage_allow_http,
        )
