"""A gRPC peer that a script plays: some methods of a service, and none of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

# By whether the caller streams, and whether the peer does.
_MAKERS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def played(service: ServiceDescriptor, **methods: Callable[[Any, Any], Any]) -> grpc.GenericRpcHandler:
    """Make what a server adds: a method gets the request, or an iterator of them, and the context."""
    handlers = {name: _handler(service.methods_by_name[name], method) for name, method in methods.items()}
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _handler(described: MethodDescriptor, method: Callable[[Any, Any], Any]) -> Any:
    return _MAKERS[described.client_streaming, described.server_streaming](
        method,
        request_deserializer=GetMessageClass(described.input_type).FromString,
        response_serializer=GetMessageClass(described.output_type).SerializeToString,
    )
