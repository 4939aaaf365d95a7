"""Envoy in front of engines, with an endpoint picker asked by ext_proc, and the picker's own files."""

import json

from gateway_config import socket_address

MODES = {
    # What llm-d's and the Gateway API's documents configure.
    "duplex": {"request_body_mode": "FULL_DUPLEX_STREAMED", "response_body_mode": "FULL_DUPLEX_STREAMED"},
    # Answers are not shown to the picker; their trailers tell it that they have ended.
    "no-answers": {"request_body_mode": "FULL_DUPLEX_STREAMED", "response_body_mode": "NONE"},
    "buffered": {"request_body_mode": "BUFFERED", "response_body_mode": "STREAMED"},
    "streamed": {"request_body_mode": "STREAMED", "response_body_mode": "STREAMED"},
    # As streamed, but the headers' answer may wait for the body.
    "not-waiting": {"request_body_mode": "STREAMED", "response_body_mode": "STREAMED"},
}
DESTINATION = "x-gateway-destination-endpoint"


def type_url(name):
    return f"type.googleapis.com/envoy.{name}"


def picker_filter(mode, fail_open):
    return {
        "name": "envoy.filters.http.ext_proc",
        "typed_config": {
            "@type": type_url("extensions.filters.http.ext_proc.v3.ExternalProcessor"),
            "grpc_service": {"envoy_grpc": {"cluster_name": "picker"}, "timeout": "10s"},
            "failure_mode_allow": fail_open,
            "message_timeout": "1000s",
            "send_body_without_waiting_for_header_response": mode == "not-waiting",
            "processing_mode": {
                "request_header_mode": "SEND",
                "response_header_mode": "SEND",
                "request_trailer_mode": "SEND",
                "response_trailer_mode": "SEND",
            }
            | MODES[mode],
        },
    }


def picker_cluster(address, secure):
    host, port = address.rsplit(":", 1)
    cluster = {
        "name": "picker",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": type_url("extensions.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": "picker",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(host, int(port))}}]}],
        },
    }
    if secure:
        cluster["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": type_url("extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
                "common_tls_context": {"alpn_protocols": ["h2"]},
            },
        }
    return cluster


def engines_cluster(addresses, trailers=False):
    """The host that the picker names; round robin where it names none."""
    endpoints = []
    for address in addresses:
        host, port = address.rsplit(":", 1)
        endpoints.append({"endpoint": {"address": socket_address(host, int(port))}})
    round_robin = {
        "name": "envoy.load_balancing_policies.round_robin",
        "typed_config": {"@type": type_url("extensions.load_balancing_policies.round_robin.v3.RoundRobin")},
    }
    override = {
        "@type": type_url("extensions.load_balancing_policies.override_host.v3.OverrideHost"),
        "override_host_sources": [{"header": DESTINATION}],
        "fallback_policy": {"policies": [{"typed_extension_config": round_robin}]},
    }
    policy = {"name": "envoy.load_balancing_policies.override_host", "typed_config": override}
    cluster = {
        "name": "engines",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_balancing_policy": {"policies": [{"typed_extension_config": policy}]},
        "load_assignment": {"cluster_name": "engines", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    if trailers:
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": type_url("extensions.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
            }
        }
    return cluster


def write_envoy_with_picker(path, port, engines, picker, mode="duplex", fail_open=False, secure=False,
                            trailers=False):
    """`trailers`: of HTTP/1.1 pass both ways; Envoy drops them otherwise."""
    manager = {
        "@type": type_url("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "picked",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "engines", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [
            picker_filter(mode, fail_open),
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": type_url("extensions.filters.http.router.v3.Router")},
            },
        ],
    }
    if trailers:
        manager["http_protocol_options"] = {"enable_trailers": True}
    listener = {
        "name": "picked",
        "address": socket_address("127.0.0.1", port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    clusters = [engines_cluster(engines, trailers), picker_cluster(picker, secure)]
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}}))
    return path


def write_endpoints(path, addresses):
    entries = []
    for number, address in enumerate(addresses):
        host, port = address.rsplit(":", 1)
        entries.append({"name": f"e{number + 1}", "address": host, "port": port, "labels": {}})
    path.write_text(json.dumps({"endpoints": entries}))
    return path
