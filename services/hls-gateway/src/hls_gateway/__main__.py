"""Run hls-gateway."""

from __future__ import annotations

from chassis.lifecycle import run_service
from hls_gateway.bootstrap import gateway
from hls_gateway.config import GatewayConfig


def main() -> None:
    """Load the settings and run until told to stop."""
    run_service("hls-gateway", GatewayConfig(), gateway)


if __name__ == "__main__":
    main()
