"""An adapter for the tests: the external metric `umbel_pool_load` of the Kubernetes API, read from beat. Runs in a pod.

It shows an HPA what KEDA or a Prometheus adapter would: `selector` names the pool by the label `pool`.
"""

import json
import ssl
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

GROUP = "external.metrics.k8s.io/v1beta1"


class Metrics(BaseHTTPRequestHandler):
    """Answer discovery, and the metric."""

    def do_GET(self) -> None:
        """Answer a request of the API server."""
        where = urlsplit(self.path)
        parts = where.path.strip("/").split("/")
        if "namespaces" not in parts:
            self._say({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP, "resources": []})
            return
        selector = parse_qs(where.query).get("labelSelector", [""])[0]
        pool = dict(part.split("=", 1) for part in selector.split(","))["pool"]
        with urlopen(f"http://default-beat:8080/v1/pools/{pool}", timeout=5) as answer:
            load = json.load(answer)["load"]
        item = {
            "metricName": parts[-1],
            "metricLabels": {"pool": pool},
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "value": str(load),
        }
        self._say({"kind": "ExternalMetricValueList", "apiVersion": GROUP, "metadata": {}, "items": [item]})

    def _say(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", 6443), Metrics)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{sys.argv[1]}/tls.crt", f"{sys.argv[1]}/tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
