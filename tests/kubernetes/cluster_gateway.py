"""`llmd gateway` that reads its objects from a real API server, with the rights of config/gateway and no others."""

import json
import os
import pathlib
import subprocess
import tempfile

from cluster import CLASS, LLMD, SYSTEM, Cluster, user_of, wait_for  # first: finds the next
import harness

USER = user_of("llmd-gateway")


class GatewayCluster(Cluster):
    def __init__(self):
        super().__init__("gateway/account.yaml", "gateway/roles.yaml")

    def start(self):
        super().start()
        self.account_file = self.account("llmd-gateway", SYSTEM)
        self.kubectl("create", "namespace", "other")
        self.apply([CLASS])

    def check_rights(self):
        refused = self.audited(USER, code=403)
        assert not refused, f"config/gateway/roles.yaml lacks rights: {refused[:5]}"
        assert self.audited(USER), "nothing was audited: is the account another one?"


class ClusterGateway(harness.Gateway):
    """A `llmd gateway` that reads its objects from the API server."""

    def __init__(self, plane, objects, *arguments, admin="none", config=None, source=None, environment=None):
        self.plane = plane
        self.applied = []
        self.refused = set()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="llmd-gateway-"))
        self.write(objects)
        self.log = open(self.folder / "log", "wb")
        if config:
            (self.folder / "gateway.yaml").write_text(json.dumps(
                {"apiVersion": "config.llmd.dev/v1alpha1", "kind": "GatewayConfiguration", **config}))
            arguments = (*arguments, "--config", str(self.folder / "gateway.yaml"))
        self.process = subprocess.Popen(
            [LLMD, "gateway", *(source or ["--kubeconfig", plane.account_file]), "--port", "0", "--admin", admin,
             "--data", str(self.folder / "data"), "--routes-config-map", f"{SYSTEM}/llmd-gateway-routes", "--status-lease",
             f"{SYSTEM}/llmd-gateway", *arguments],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env=os.environ | (environment or {}))
        for line in self.process.stdout:
            if line.startswith("admin "):
                _, self.admin_url, _, self.token_file = line.split()
            if line.startswith("gateway "):
                break
        else:
            self.process.stdout.close()
            self.log.close()
            raise AssertionError(f"no gateway: {self.process.wait()} {(self.folder / 'log').read_text()}")
        host, port = line.split("//")[1].strip().rsplit(":", 1)
        self.address = (host, int(port))
        self.listeners = {}

    def write(self, objects):
        """What was applied before and is not among them goes."""
        key = lambda each: (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])  # noqa: E731
        wanted = {key(each) for each in objects}
        self.plane.delete([each for each in self.applied if key(each) not in wanted])
        self.refused |= self.plane.apply(objects)
        self.applied = list(objects)

    def log_text(self):
        """On a cluster the status says what files leave to the log."""
        def routes():
            items = json.loads(self.plane.kubectl("get", "httproutes", "-A", "-o", "json").stdout)["items"]
            ours = [each for each in items if each["spec"]["parentRefs"][0]["name"] == "gateway"]
            return json.dumps(items) if all(each.get("status") for each in ours) else None
        return (self.folder / "log").read_text() + wait_for("status of all routes", routes)

    def close(self):
        if not self.folder.exists():
            return self.process.returncode
        self.plane.delete([each for each in self.applied if each["kind"] != "GatewayClass"])
        return super().close()
