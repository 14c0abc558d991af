"""Servers of S3, and of Google Cloud Storage's XML interface, as a program: `cloud_storage.py s3|gs PORT`.

S3 is moto's, with one thing mended: moto looks whether a key is free and writes it in two steps, so that of
two conditional writes at one moment both could succeed. Of the clouds', one does. Google's interface is S3's
but for some headers: its requests are turned into Amazon's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any
from urllib.parse import quote, unquote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=google/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


def speak_s3() -> Application:
    """Build moto's application, with its conditional writes one after the other."""
    s3: Application = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = Lock()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environ:
            return s3(environ, start_response)
        with one_at_a_time:
            return list(s3(environ, start_response))

    return answer


def speak_google(s3: Application) -> Application:
    """Translate requests to S3's words."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["HTTP_AUTHORIZATION"] = _SIGNED  # in place of a bearer's token
        if environ.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None) == "0":  # no generation: it must be new
            environ["HTTP_IF_NONE_MATCH"] = "*"
        # Google's are escaped more than S3's, and moto knows no bucket "weir%2Dobjects".
        path, mark, query = environ["RAW_URI"].partition("?")
        environ["RAW_URI"] = environ["REQUEST_URI"] = quote(unquote(path)) + mark + query

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("x-goog-generation", "1")], *rest)

        return s3(environ, start)

    return answer


if __name__ == "__main__":
    _, interface, port = sys.argv
    application = speak_s3() if interface == "s3" else speak_google(speak_s3())
    run_simple("127.0.0.1", int(port), application, threaded=True)
