"""Envoy as the component `cert` configures it, before a real gateway and services that want certificates."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from weir.timeline.v1 import timeline_pb2_grpc

from chassis.grpc_server import serve
from support.certificates import Authority, Mount
from support.edge import running_envoy
from support.gateway import Scene, running_gateway, segment, store, stream, video
from support.ports import free_ports
from support.timeline_peer import TimelinePeer
from weir_cli import programs
from weir_cli.address import Address
from weir_cli.envoy_config import Edge, fit_config

CERT = Path(__file__).parents[2] / "k8s" / "components" / "cert"
TIMEOUT_S = 60
PUBLIC_NAME = "weir.example.com"
SHOWN = "/weir.distributor.v1.StreamService/Shown"
SEGMENT_BYTES = 3_000_000
GREETING = b"publish here"


class Mirror(grpc.GenericRpcHandler):
    """Answers with the certificate that the caller has shown."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method != SHOWN:
            return None
        return grpc.unary_unary_rpc_method_handler(self._shown)

    async def _shown(self, _request: bytes, context: Any) -> bytes:
        (certificate,) = context.auth_context()["x509_pem_cert"]
        return bytes(certificate)


class Suite:
    """The certificates of a suite, each in a folder of its own, and where Envoy stands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inner, self.outer = Authority(), Authority("public-ca")
        names = ("abr", "transcoder", "distributor", "hls-gateway", "envoy")
        self.mounts = {name: Mount(folder / "own" / name, name, self.inner) for name in names}
        self.public = Mount(folder / "public", PUBLIC_NAME, self.outer)
        self.port, self._admin, self.rtmp_port, self._srt = free_ports(4)
        self.log = folder / "envoy.log"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def context(self) -> ssl.SSLContext:
        """What a client believes."""
        return ssl.create_default_context(cadata=self.outer.pem.decode())

    def channel(self) -> grpc.aio.Channel:
        """Open a connection of its own to Envoy, as a gRPC client of the public does."""
        believed = grpc.ssl_channel_credentials(self.outer.pem)
        return grpc.aio.secure_channel(
            f"127.0.0.1:{self.port}", believed, options=[("grpc.use_local_subchannel_pool", 1)]
        )

    def write_config(self, ports: dict[str, int]) -> Path:
        """Write what the component mounts, with the addresses and folders of this test."""
        folder = self.folder / "envoy"
        folder.mkdir()
        for name in ("public", "own", "authority"):
            (folder / f"{name}.yaml").write_text(self._moved((CERT / f"{name}.yaml").read_text()))
        edge = Edge(
            public=Address(port=self.port),
            admin=Address(port=self._admin),
            rtmp=Address(port=self.rtmp_port),
            srt=Address(port=self._srt),
            upstreams={name: (Address(port=port),) for name, port in ports.items()},
            checked=dict.fromkeys(
                ("transcoder-rtmp", "transcoder-srt"), (Address(port=ports["transcoder"]),)
            ),
            descriptors_path=programs.descriptors_path(),
        )
        (folder / "envoy.yaml").write_text(self._moved(fit_config((CERT / "envoy.yaml").read_text(), edge)))
        return folder / "envoy.yaml"

    def _moved(self, text: str) -> str:
        text = text.replace("/etc/tls/own", str(self.mounts["envoy"].folder))
        text = text.replace("/etc/tls/public", str(self.public.folder))
        return text.replace("/etc/envoy", str(self.folder / "envoy"))

    async def shown_to_services(self) -> bytes:
        """Ask a service, through Envoy, which certificate Envoy has shown to it."""
        async with self.channel() as channel:
            call: Any = channel.unary_unary(SHOWN)
            return bytes(await call(b"", timeout=10))


@asynccontextmanager
async def running_suite(folder: Path) -> AsyncIterator[tuple[Suite, Scene]]:
    """Run Envoy before a gateway and a service of each other kind, all under TLS."""
    suite = Suite(folder)
    peer = TimelinePeer()  # type: ignore[abstract]
    async with AsyncExitStack() as stack:
        ports = {}
        for name in ("abr", "transcoder", "distributor"):

            def register(server: grpc.aio.Server) -> None:
                timeline_pb2_grpc.add_TimelineServiceServicer_to_server(peer, server)
                server.add_generic_rpc_handlers((Mirror(),))

            tls = suite.mounts[name].open()
            _, ports[name] = await stack.enter_async_context(
                serve("127.0.0.1:0", register, services=(), grace_s=0, tls=tls)
            )
        peer.port = ports["distributor"]
        settings = suite.mounts["hls-gateway"].settings()
        scene = await stack.enter_async_context(running_gateway(folder / "objects", peer, **settings))
        ports |= {"hls-gateway": scene.port, "hls-gateway-grpc": scene.grpc_port}
        rtmp = await stack.enter_async_context(await asyncio.start_server(greet, "127.0.0.1", 0))
        ports |= {"transcoder-rtmp": rtmp.sockets[0].getsockname()[1], "transcoder-srt": scene.port}
        stack.enter_context(running_envoy(suite.write_config(ports), suite.log))
        await until_ready(suite)
        yield suite, scene


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a publisher in the clear, and end."""
    writer.write(GREETING)
    await writer.drain()
    writer.close()


async def until_ready(suite: Suite) -> None:
    """Wait until Envoy has found a healthy replica of each service, which it asks under TLS too."""
    async with asyncio.timeout(TIMEOUT_S), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{suite.url}/readyz", ssl=suite.context()) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def test_clients_reach_every_service_under_tls(tmp_path: Path) -> None:
    async with running_suite(tmp_path) as (suite, scene):
        assert await suite.shown_to_services() == suite.mounts["envoy"].certificate
        async with suite.channel() as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        scene.peer.create(stream())
        entry = segment(0, size_bytes=SEGMENT_BYTES)
        data = await store(scene, entry)
        scene.peer.append("talk", video(), entry)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{suite.url}/", ssl=suite.context()) as page:
                assert (page.status, "<html" in await page.text()) == (200, True)
            whole = f"{suite.url}/hls/talk/variants/High/segment_0.m4s"
            async with asyncio.timeout(TIMEOUT_S):
                while (got := await body(session, whole, suite.context())) != data:
                    assert len(got) < SEGMENT_BYTES, "other bytes than were stored"
                    await asyncio.sleep(0.05)


async def test_publishers_reach_transcoders_in_the_clear_whose_health_is_asked_under_tls(
    tmp_path: Path,
) -> None:
    async with running_suite(tmp_path) as (suite, _), asyncio.timeout(TIMEOUT_S):
        heard = b""
        while heard != GREETING:
            reader, writer = await asyncio.open_connection("127.0.0.1", suite.rtmp_port)
            heard = await reader.read()
            writer.close()


async def body(session: aiohttp.ClientSession, url: str, context: ssl.SSLContext) -> bytes:
    async with session.get(url, ssl=context) as answer:
        return await answer.read()


async def test_the_gateway_itself_answers_only_who_shows_a_certificate(tmp_path: Path) -> None:
    async with running_suite(tmp_path) as (suite, scene):
        believing = ssl.create_default_context(cadata=suite.inner.pem.decode())
        assert await asyncio.to_thread(first_word, scene.port, believing) == b""
        known = suite.mounts["envoy"].open().client_context()
        assert await asyncio.to_thread(first_word, scene.port, known) == b"HTTP"


async def test_renewed_certificates_are_shown_without_a_restart(tmp_path: Path) -> None:
    """By Envoy to clients and to services, and by the gateway to Envoy."""
    async with running_suite(tmp_path) as (suite, scene):
        suite.public.renew(suite.outer)
        suite.mounts["envoy"].renew(suite.inner)
        suite.mounts["hls-gateway"].renew(suite.inner)
        believed = suite.mounts["abr"].open().client_context()
        mounts = suite.mounts
        await until(suite.public.certificate, lambda: asyncio.to_thread(shown, suite.port, suite.context()))
        await until(mounts["envoy"].certificate, suite.shown_to_services)
        await until(mounts["hls-gateway"].certificate, lambda: asyncio.to_thread(shown, scene.port, believed))
        await until_ready(suite)


async def until(expected: bytes, ask: Callable[[], Awaitable[bytes]]) -> None:
    """Ask until the answer is what is expected."""
    async with asyncio.timeout(TIMEOUT_S):
        while await ask() != expected:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.05)


def first_word(port: int, context: ssl.SSLContext) -> bytes:
    """Ask a web server for its page, and read how the answer begins; nothing if it does not answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as opened:
        try:
            with context.wrap_socket(opened, server_hostname="127.0.0.1") as encrypted:
                encrypted.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                return encrypted.recv(4)
        except (ssl.SSLError, ConnectionError):
            return b""


def shown(port: int, context: ssl.SSLContext) -> bytes:
    """Read the certificate that a server shows on a new connection; PEM."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as opened,
        context.wrap_socket(opened, server_hostname="127.0.0.1") as encrypted,
    ):
        certificate = encrypted.getpeercert(binary_form=True)
        assert certificate
        return ssl.DER_cert_to_PEM_cert(certificate).encode()
