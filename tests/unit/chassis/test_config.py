"""Settings of every service that must fit each other."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from chassis.config import ServiceConfig


def test_tls_is_set_as_a_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_TLS_CERT_FILE", "/etc/weir/tls/tls.crt")
    monkeypatch.setenv("WEIR_TLS_CA_FILE", "/etc/weir/tls/ca.crt")
    with pytest.raises(ValidationError, match="tls_key_file is empty: give all of"):
        ServiceConfig()
    monkeypatch.setenv("WEIR_TLS_KEY_FILE", "/etc/weir/tls/tls.key")
    assert ServiceConfig().tls_key_file == "/etc/weir/tls/tls.key"
