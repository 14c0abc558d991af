"""Make Envoy speak TLS, to clients and to services, by its one configuration; certificates come by SDS."""

from __future__ import annotations

from typing import Any

import yaml

Node = dict[str, Any]

HEADER = "# Made from envoy/envoy.yaml by `make k8s-tls`; the reasons stand there. Change that file.\n"
SECRETS_FOLDER = "/etc/envoy"
# Publishers speak RTMP as it is, and so does the transcoder; but whether it wants them is asked by gRPC.
IN_THE_CLEAR = ("transcoder-rtmp",)
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"


def encrypt(text: str) -> str:
    """Return the configuration `text`, which is YAML, with TLS on the public listener and towards services.

    Services must show the name by which they are called; the files are described in SECRETS_FOLDER:
    `public.yaml` (for clients), `own.yaml` and `authority.yaml` (for services).
    """
    config: Node = yaml.load(text, Loader=yaml.CSafeLoader)
    resources = config["static_resources"]
    (public,) = (listener for listener in resources["listeners"] if listener["name"] == "public")
    for chain in public["filter_chains"]:
        chain["transport_socket"] = _socket("DownstreamTlsContext", _for_clients())
    for cluster in resources["clusters"]:
        tls = _socket("UpstreamTlsContext", _for_service(cluster))
        if cluster["name"] in IN_THE_CLEAR:
            _encrypt_checks(cluster, tls)
        else:
            cluster["transport_socket"] = tls
    return HEADER + yaml.dump(config, Dumper=_Plain, sort_keys=False, width=120)


def _encrypt_checks(cluster: Node, tls: Node) -> None:
    """Ask for health under TLS where all else goes in the clear."""
    asked = {"for": "health"}
    cluster["transport_socket_matches"] = [{"name": "health", "match": asked, "transport_socket": tls}]
    for check in cluster["health_checks"]:
        check["transport_socket_match_criteria"] = dict(asked)


class _Plain(yaml.CSafeDumper):
    """Writes what occurs twice twice: names that are made up would change with every change."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        return True


def _for_clients() -> Node:
    return {
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [_secret("public")],
        }
    }


def _for_service(cluster: Node) -> Node:
    name = _host(cluster)
    names = [{"san_type": "DNS", "matcher": {"exact": name}}]
    return {
        "sni": name,
        "common_tls_context": {
            "alpn_protocols": ["h2" if _speaks_http2(cluster) else "http/1.1"],
            "tls_certificate_sds_secret_configs": [_secret("own")],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": names},
                "validation_context_sds_secret_config": _secret("authority"),
            },
        },
    }


def _host(cluster: Node) -> str:
    """The name by which a cluster's service is called."""
    (place,) = cluster["load_assignment"]["endpoints"]
    (endpoint,) = place["lb_endpoints"]
    return str(endpoint["endpoint"]["address"]["socket_address"]["address"])


def _speaks_http2(cluster: Node) -> bool:
    (options,) = cluster["typed_extension_protocol_options"].values()
    return "http2_protocol_options" in options["explicit_http_config"]


def _secret(name: str) -> Node:
    source = {"path": f"{SECRETS_FOLDER}/{name}.yaml", "watched_directory": {"path": SECRETS_FOLDER}}
    return {"name": name, "sds_config": {"path_config_source": source, "resource_api_version": "V3"}}


def _socket(context: str, config: Node) -> Node:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": f"{_TLS}.{context}", **config},
    }


if __name__ == "__main__":
    from weir_cli.programs import envoy_config_path

    target = envoy_config_path().parents[1] / "k8s" / "components" / "cert" / "envoy.yaml"
    target.write_text(encrypt(envoy_config_path().read_text()))
