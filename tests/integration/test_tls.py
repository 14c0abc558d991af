"""TLS between services: who is let in, who is believed, and that renewed certificates are taken meanwhile."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.config import ServiceConfig
from chassis.grpc_client import open_channel
from chassis.grpc_server import serve
from chassis.nats_connection import connect
from chassis.tls import Certificates, certificates_of
from support.certificates import Authority, Mount
from support.nats import running_nats
from support.ports import free_ports

K8S = Path(__file__).parents[2] / "k8s"
SHOWN = "/weir.test.Mirror/Shown"
KEPT = "/weir.test.Mirror/Kept"
RENEWAL_TIMEOUT_S = 60
ASK = health_pb2.HealthCheckRequest()


class Mirror(grpc.GenericRpcHandler):
    """Answers with the certificate that the caller has shown, once, or as long as it is asked."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method == SHOWN:
            return grpc.unary_unary_rpc_method_handler(self._shown)
        return grpc.stream_stream_rpc_method_handler(self._kept)

    async def _shown(self, _request: bytes, context: Any) -> bytes:
        (certificate,) = context.auth_context()["x509_pem_cert"]
        return bytes(certificate)

    async def _kept(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield await self._shown(b"", context)


@asynccontextmanager
async def mirror(tls: Certificates | None, *, health_address: str = "") -> AsyncIterator[str]:
    """Run a service; yields its address."""

    def register(server: grpc.aio.Server) -> None:
        server.add_generic_rpc_handlers((Mirror(),))

    async with serve(
        "127.0.0.1:0", register, services=(), grace_s=0, tls=tls, health_address=health_address
    ) as (_, port):
        yield f"127.0.0.1:{port}"


async def shown(channel: grpc.aio.Channel) -> bytes:
    call: Any = channel.unary_unary(SHOWN)
    return bytes(await call(b"", timeout=10))


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Mount:
    return Mount(tmp_path / "server", "distributor", authority)


@pytest.fixture
def caller(tmp_path: Path, authority: Authority) -> Mount:
    return Mount(tmp_path / "caller", "abr", authority)


async def test_two_services_know_each_other_by_their_certificates(server: Mount, caller: Mount) -> None:
    async with mirror(server.open()) as address, open_channel(address, caller.open()) as channel:
        assert await shown(channel) == caller.certificate


async def test_who_has_no_certificate_is_refused(server: Mount, authority: Authority) -> None:
    believing = grpc.ssl_channel_credentials(authority.pem)
    async with mirror(server.open()) as address, grpc.aio.secure_channel(address, believing) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await shown(channel)
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_who_does_not_encrypt_is_refused(server: Mount) -> None:
    async with mirror(server.open()) as address, open_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await shown(channel)
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_of_another_authority_is_worth_nothing(
    server: Mount, authority: Authority, tmp_path: Path
) -> None:
    stranger = Mount(tmp_path / "stranger", "abr", authority)
    stranger.renew(Authority(), believed=authority.pem)
    async with mirror(server.open()) as address, open_channel(address, stranger.open()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await shown(channel)
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_peer_must_be_who_it_is_called(server: Mount, caller: Mount) -> None:
    async with mirror(server.open()) as address:
        async with open_channel(address, caller.open(), server_name="distributor") as channel:
            assert await shown(channel) == caller.certificate
        async with open_channel(address, caller.open(), server_name="hls-gateway") as channel:
            with pytest.raises(grpc.aio.AioRpcError, match="Hostname Verification"):
                await shown(channel)


async def test_a_renewed_certificate_of_a_caller_is_shown_without_a_restart(
    server: Mount, caller: Mount, authority: Authority
) -> None:
    """Calls that go on are not disturbed: they keep the connection that they have."""
    async with mirror(server.open()) as address, open_channel(address, caller.open()) as channel:
        old = await shown(channel)
        kept: Any = channel.stream_stream(KEPT)
        going_on = kept()
        await going_on.write(b"")
        assert await going_on.read() == old
        caller.renew(authority)
        async with asyncio.timeout(RENEWAL_TIMEOUT_S):
            while (new := await shown(channel)) == old:  # noqa: ASYNC110 - files tell nobody
                await asyncio.sleep(0.05)
        assert new == caller.certificate
        await going_on.write(b"")
        assert await going_on.read() == old
        await going_on.done_writing()
        assert await going_on.read() is grpc.aio.EOF


async def test_closing_ends_what_goes_on_over_connections_from_before(
    server: Mount, caller: Mount, authority: Authority
) -> None:
    async with mirror(server.open()) as address:
        async with open_channel(address, caller.open()) as channel:
            old = await shown(channel)
            kept: Any = channel.stream_stream(KEPT)
            going_on = kept()
            await going_on.write(b"")
            assert await going_on.read() == old
            caller.renew(authority)
            async with asyncio.timeout(RENEWAL_TIMEOUT_S):
                while await shown(channel) == old:  # noqa: ASYNC110 - files tell nobody
                    await asyncio.sleep(0.05)
            assert not going_on.done()
        assert going_on.done()


async def test_a_whole_suite_moves_to_another_authority_without_a_restart(
    server: Mount, caller: Mount, authority: Authority
) -> None:
    successor = Authority("successor")
    both = authority.pem + successor.pem
    tls = server.open()
    async with mirror(tls) as address, open_channel(address, caller.open()) as channel:
        await shown(channel)
        caller.renew(authority, believed=both)
        server.renew(successor, believed=both)
        fresh = Mount(caller.folder.with_name("fresh"), "abr", successor)
        async with asyncio.timeout(RENEWAL_TIMEOUT_S):
            while not await is_let_in(address, fresh):  # noqa: ASYNC110 - it looks at its files itself
                await asyncio.sleep(0.05)
            while await shown(channel) != caller.certificate:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.05)


async def is_let_in(address: str, mount: Mount) -> bool:
    """Call on a connection of its own that believes only the mount's authority."""
    shows = mount.open().current().channel_credentials()
    alone = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.secure_channel(address, shows, options=alone) as channel:
        try:
            return await shown(channel) == mount.certificate
        except grpc.aio.AioRpcError:
            return False


def test_only_the_authority_of_the_files_is_believed(
    caller: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_the_machine = tmp_path / "machine.crt"
    of_the_machine.write_bytes(Authority("public-ca").pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(of_the_machine))
    tls = caller.open()
    for context in (tls.client_context(), tls.server_context()):
        (believed,) = context.get_ca_certs()
        assert believed["subject"] == ((("commonName", "weir-ca"),),)


def test_connections_are_made_with_what_was_read_before_while_files_are_broken(caller: Mount) -> None:
    tls, before = caller.open(), caller.certificate
    caller.put(b"nonsense", b"nonsense", b"nonsense")
    for context in (tls.client_context(), tls.server_context()):
        assert context.get_ca_certs()
    assert tls.current().certificate == before


async def test_files_that_do_not_fit_each_other_are_not_taken(caller: Mount, authority: Authority) -> None:
    tls = caller.open()
    old = tls.current()
    certificate, _ = authority.issue("abr")
    _, key = authority.issue("abr")
    caller.put(certificate, key, authority.pem)
    await asyncio.sleep(1.1)  # longer than the files are left unlooked at
    assert tls.current() is old
    caller.renew(authority)
    async with asyncio.timeout(RENEWAL_TIMEOUT_S):
        while tls.current() is old:  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.05)
    assert tls.current().certificate == caller.certificate


async def test_health_can_be_asked_without_a_certificate_where_nothing_else_is(server: Mount) -> None:
    (port,) = free_ports(1)
    probed = f"127.0.0.1:{port}"
    async with mirror(server.open(), health_address=probed), open_channel(probed) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(ASK)).status == health_pb2.HealthCheckResponse.SERVING
        alive = await health.Check(health_pb2.HealthCheckRequest(service="alive"))
        assert alive.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await shown(channel)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_service_without_settings_of_tls_has_no_certificates(server: Mount) -> None:
    assert certificates_of(ServiceConfig()) is None
    config = ServiceConfig(**server.settings())  # type: ignore[arg-type] # fields by name
    found = certificates_of(config)
    assert found
    assert found.current().certificate == server.certificate


async def test_nats_asks_for_certificates_as_services_do(
    server: Mount, caller: Mount, authority: Authority, tmp_path: Path
) -> None:
    config_file = tmp_path / "nats.conf"
    config_file.write_text(NATS.format(folder=server.folder))
    with running_nats(tmp_path / "nats", "--config", str(config_file)) as nats:
        config = ServiceConfig(nats_url=nats.url, nats_connect_timeout_s=5)
        async with connect(config, name="test", tls=caller.open()) as client:
            answer = await client.jetstream().account_info()
            assert answer.streams == 0
        stranger = Mount(tmp_path / "stranger", "abr", authority)
        stranger.renew(Authority(), believed=authority.pem)
        believing = ssl.create_default_context(cadata=authority.pem.decode())
        assert await asyncio.to_thread(greeting, nats.port, caller.open().client_context()) == b"INFO"
        assert await asyncio.to_thread(greeting, nats.port, believing) == b""
        assert await asyncio.to_thread(greeting, nats.port, stranger.open().client_context()) == b""


def greeting(port: int, context: ssl.SSLContext) -> bytes:
    """Connect as NATS clients do, and read the first word that a server says to those whom it lets in."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as opened:
        try:
            with context.wrap_socket(opened, server_hostname="127.0.0.1") as encrypted:
                return encrypted.recv(4)
        except (ssl.SSLError, ConnectionError):
            return b""


NATS = """
tls {{
  cert_file: "{folder}/tls.crt"
  key_file: "{folder}/tls.key"
  ca_file: "{folder}/ca.crt"
  verify: true
  handshake_first: true
}}
"""


async def test_nats_as_the_component_configures_it_takes_renewed_certificates_when_told_to(
    server: Mount, caller: Mount, authority: Authority, tmp_path: Path
) -> None:
    included, config = (tmp_path / "etc" / folder / "nats.conf" for folder in ("nats", "nats-tls"))
    included.parent.mkdir(parents=True)
    included.write_text("jetstream {max_file_store: 1GB}\n")
    config.parent.mkdir()
    text = (K8S / "components" / "cert" / "nats.conf").read_text()
    config.write_text(text.replace("/etc/weir/tls", str(server.folder)))
    with running_nats(tmp_path / "nats", "--config", str(config)) as nats:
        believed = caller.open().client_context()
        assert await asyncio.to_thread(certificate_at, nats.port, believed) == server.certificate
        old = server.certificate
        server.renew(authority)
        assert await asyncio.to_thread(certificate_at, nats.port, believed) == old
        nats.reload()
        async with asyncio.timeout(RENEWAL_TIMEOUT_S):
            while await asyncio.to_thread(certificate_at, nats.port, believed) == old:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await asyncio.to_thread(certificate_at, nats.port, believed) == server.certificate


def certificate_at(port: int, context: ssl.SSLContext) -> bytes:
    """Read the certificate that a server shows on a new connection; PEM."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as opened,
        context.wrap_socket(opened, server_hostname="127.0.0.1") as encrypted,
    ):
        shown_now = encrypted.getpeercert(binary_form=True)
        assert shown_now
        return ssl.DER_cert_to_PEM_cert(shown_now).encode()
