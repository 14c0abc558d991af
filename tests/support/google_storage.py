"""A server of Google Cloud Storage's XML interface, as a program: `google_storage.py PORT`.

That interface is S3's but for some headers: this one turns Google's into Amazon's, and has moto answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, unquote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=google/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


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
    s3 = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", int(sys.argv[1]), speak_google(s3), threaded=True)
