"""The same eight endpoints, said to Envoy and to `llmd gateway`."""

import json


def write_envoy(path, port, addresses, engine_port, policy="LEAST_REQUEST"):
    """One listener, one cluster; no access log, no route timeout."""
    endpoints = [{"endpoint": {"address": socket_address(address, engine_port)}} for address in addresses]
    cluster = {
        "name": "engines",
        "type": "STATIC",
        "lb_policy": policy,
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "engines", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "engines", "timeout": "0s"}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "name": "bench",
        "address": socket_address("127.0.0.1", port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    return path


def socket_address(address, port):
    return {"socket_address": {"address": address, "port_value": port}}


def write_manifests(folder, addresses, engine_port):
    """A Gateway, a route for every path, and an InferencePool with its pods: the gateway picks by prompt and load."""
    folder.mkdir()
    meta = {"name": "bench", "namespace": "default"}
    backend = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "bench"}
    objects = [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": meta,
            "spec": {"gatewayClassName": "llmd", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": meta,
            "spec": {
                "parentRefs": [{"name": "bench"}],
                "rules": [
                    {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [backend]}
                ],
            },
        },
        {
            "apiVersion": "inference.networking.k8s.io/v1",
            "kind": "InferencePool",
            "metadata": meta,
            "spec": {"selector": {"matchLabels": {"app": "bench"}}, "targetPorts": [{"number": engine_port}]},
        },
    ]
    for address in addresses:
        objects.append({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"engine-{address}", "namespace": "default", "labels": {"app": "bench"}},
            "status": {"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
        })
    # JSON is YAML: one document each.
    (folder / "bench.yaml").write_text("\n---\n".join(json.dumps(each, indent=1) for each in objects) + "\n")
    return folder
