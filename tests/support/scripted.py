"""Peers with a script: real servers on real ports that remember what they were asked and answer as told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingUDPServer

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One gRPC call as it arrived."""

    method: str
    metadata: dict[str, str]
    messages: tuple[bytes, ...]


Script = Callable[[Call, grpc.ServicerContext], list[bytes]]


class ScriptedGrpc(grpc.GenericRpcHandler):
    """A gRPC server that takes any call; without a script it answers one empty message."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[Call] = []
        self.scripts: dict[str, Script] = {}
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers([self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Take the call, whatever its method is."""
        method = str(handler_call_details.method)

        def respond(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
            call = Call(method=method, metadata=metadata, messages=tuple(requests))
            self.calls.append(call)
            answers = self.scripts.get(method, _empty)(call, context)
            # After the script: one that aborts answers as services do, with trailers alone.
            context.send_initial_metadata((("x-served-by", self.name),))
            yield from answers

        return grpc.stream_stream_rpc_method_handler(respond)

    def set_serving(self, serving: bool) -> None:
        """Answer health checks so from now on."""
        status = health_pb2.HealthCheckResponse
        self._health.set("", status.SERVING if serving else status.NOT_SERVING)

    def stop(self) -> None:
        """End at once; calls in flight break."""
        self._server.stop(0).wait()


def _empty(_call: Call, _context: grpc.ServicerContext) -> list[bytes]:
    return [b""]


@dataclass(slots=True)
class Response:
    """What a scripted HTTP server answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]


class ScriptedHttp:
    """An HTTP server that answers by path; without a script 200 and no body."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[Request] = []
        self.scripts: dict[str, Callable[[Request], Response]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _respond(self, request: Request) -> Response:
        if request.path == "/readyz":
            return Response()
        self.requests.append(request)
        script = self.scripts.get(request.path.partition("?")[0])
        return script(request) if script else Response()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {key.lower(): value for key, value in self.headers.items()}
                request = Request(method=self.command, path=self.path, headers=headers)
                response = peer._respond(request)
                self.send_response(response.status)
                for key, value in {"x-served-by": peer.name, **response.headers}.items():
                    self.send_header(key, value)
                self.send_header("content-length", str(len(response.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(response.body)

            do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the base class names them so

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Be quiet: the test looks at `requests`."""

        return Handler


class ScriptedDatagrams:
    """Answers each datagram with its own name."""

    def __init__(self, name: str) -> None:
        peer = self
        self.name = name

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                _, answers = self.request
                answers.sendto(peer.name.encode(), self.client_address)

        self._server = ThreadingUDPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
