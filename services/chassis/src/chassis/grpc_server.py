"""A gRPC server as every service runs it: limits, health, reflection, one log line and one span per call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from opentelemetry.trace import Span, SpanKind, use_span

from chassis import grpc_errors
from chassis.errors import WeirError
from chassis.telemetry import log, trace_context, tracer
from chassis.tls import Certificates

# A 63 KiB gzip message inflates to 63 MiB, so the bound on a message is kept low.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_INTERNAL = "an internal error; the service's log tells more"
# The name under which gRPC health says whether the process is worth keeping: as long as it answers at all.
ALIVE = "alive"
_QUIET = "/grpc."  # health checks and reflection would drown the log

SERVER_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # a second process on the port is a mistake that must be seen
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class Health:
    """What the server answers to gRPC health checks, for all of its services together."""

    def __init__(self, servicer: health.aio.HealthServicer, names: Sequence[str]) -> None:
        self._servicer = servicer
        self._names = ("", *names)

    async def set_serving(self, serving: bool) -> None:
        """Say whether calls should be sent here."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in self._names:
            await self._servicer.set(name, status)


@asynccontextmanager
async def serve(
    address: str,
    register: Callable[[grpc.aio.Server], None],
    *,
    services: Sequence[str],
    described: Sequence[str] = (),
    grace_s: float,
    drain_s: float = 0.0,
    tls: Certificates | None = None,
    health_address: str = "",
) -> AsyncIterator[tuple[Health, int]]:
    """Run a gRPC server; yields its health and its port.

    Args:
        address: host:port to listen on; port 0 takes a free one.
        register: Adds the servicers.
        services: Their full names, for health and reflection.
        described: Those of services elsewhere, for reflection alone; their stubs must be loaded.
        grace_s: How long calls in flight may go on when the server stops.
        drain_s: How long to answer NOT_SERVING before new calls are refused, so that clients move on.
        tls: What to show; callers must show a certificate of the same authority. None: not encrypted.
        health_address: Where health alone is answered too, never encrypted; empty: nowhere.

    Raises:
        RuntimeError: An address is taken.
    """
    server = grpc.aio.server(interceptors=[CallInterceptor()], options=SERVER_OPTIONS)
    register(server)
    names = (*services, *described, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    health_pb2_grpc.add_HealthServicer_to_server(servicer := health.aio.HealthServicer(), server)
    await servicer.set(ALIVE, health_pb2.HealthCheckResponse.SERVING)
    port, state = _listen(server, address, tls), Health(servicer, services)
    async with _probed(health_address, servicer), _running(server, state, drain_s, grace_s):
        yield state, port


@asynccontextmanager
async def _running(
    server: grpc.aio.Server, state: Health, drain_s: float, grace_s: float
) -> AsyncIterator[None]:
    await state.set_serving(True)
    await server.start()
    try:
        yield
    finally:
        await state.set_serving(False)
        await asyncio.sleep(drain_s)
        await server.stop(grace_s)


def _listen(server: grpc.aio.Server, address: str, tls: Certificates | None) -> int:
    if tls is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, tls.server_credentials())


@asynccontextmanager
async def _probed(address: str, servicer: health.aio.HealthServicer) -> AsyncIterator[None]:
    """Answer health at an address of its own, if there is one: Kubernetes probes without a certificate."""
    if not address:
        yield
        return
    server = grpc.aio.server(options=SERVER_OPTIONS)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Around every call: a span, one canonical log line, and failures translated to rich gRPC errors."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of one method."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_QUIET):
            return handler
        headers = {
            key: value for key, value in handler_call_details.invocation_metadata if isinstance(value, str)
        }
        return _wrapped(handler, Call(method, headers))


class Call:
    """One call in progress."""

    def __init__(self, method: str, headers: dict[str, str]) -> None:
        self._method = method
        self._headers = headers

    async def respond(self, handler: Callable[..., Any], request: Any, context: Any) -> Any:
        """Run a handler with one response."""
        async with self._observed(context) as span:
            with use_span(span):
                return await handler(request, context)

    async def stream(self, handler: Callable[..., Any], request: Any, context: Any) -> AsyncGenerator[Any]:
        """Run a handler with a stream of responses.

        Its span is not made the current one: a generator may end in another context than it began in.
        """
        async with self._observed(context), aclosing(handler(request, context)) as responses:
            async for response in responses:
                yield response

    @asynccontextmanager
    async def _observed(self, context: Any) -> AsyncIterator[Span]:
        start = time.monotonic()
        parent = trace_context(self._headers)
        span = tracer.start_span(self._method.lstrip("/"), context=parent, kind=SpanKind.SERVER)
        code = "OK"
        try:
            yield span
        except WeirError as error:
            code = grpc_errors.CODES[type(error)].name
            rich = rpc_status.to_status(grpc_errors.to_status(error))
            await context.abort(rich.code, rich.details, rich.trailing_metadata)
        except grpc.aio.AbortError:
            code = "ABORTED_BY_HANDLER"
            raise
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        except Exception:  # noqa: BLE001 - the one place where what nobody expected becomes INTERNAL
            code = "INTERNAL"
            log.exception("call failed unexpectedly", method=self._method)
            await context.abort(grpc.StatusCode.INTERNAL, _INTERNAL)
        finally:
            span.set_attribute("rpc.grpc.status_code", code)
            span.end()
            log.info("call", method=self._method, code=code, duration_ms=_elapsed_ms(start))


def _wrapped(handler: grpc.RpcMethodHandler[Any, Any], call: Call) -> grpc.RpcMethodHandler[Any, Any]:
    coders = {
        "request_deserializer": handler.request_deserializer,
        "response_serializer": handler.response_serializer,
    }
    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(_unary(handler.unary_unary, call), **coders)
    if handler.stream_unary:
        return grpc.stream_unary_rpc_method_handler(_unary(handler.stream_unary, call), **coders)
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler(_streaming(handler.unary_stream, call), **coders)
    return grpc.stream_stream_rpc_method_handler(_streaming(handler.stream_stream, call), **coders)


def _unary(behaviour: Any, call: Call) -> Any:
    async def respond(request: Any, context: Any) -> Any:
        return await call.respond(behaviour, request, context)

    return respond


def _streaming(behaviour: Any, call: Call) -> Any:
    async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
        async with aclosing(call.stream(behaviour, request, context)) as responses:
            async for response in responses:
                yield response

    return stream


def _elapsed_ms(start: float) -> float:
    return round((time.monotonic() - start) * 1e3, 3)
