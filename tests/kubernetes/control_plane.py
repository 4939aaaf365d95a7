"""A real control plane on this machine: etcd, kube-apiserver and, where asked for, kube-controller-manager.

    with ControlPlane() as plane:
        plane.kubectl("get", "namespaces")

Run as a program it stays until Ctrl-C and prints the KUBECONFIG to use. LLMD_KUBERNETES names the folder with the
programs (`tests/kubernetes/build` makes and prints it); without it the tests are skipped.
"""
import base64
import datetime
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PROGRAMS = pathlib.Path(os.environ.get("LLMD_KUBERNETES", ""))
SKIPPED = 77
TOKEN = "token-of-the-integration-test"
START_SECONDS = 90
# Addresses of EndpointSlices must not be loopback ones. This one exists in the test's own network only.
POD_ADDRESS = "10.77.0.1"


def require():
    """Ends the process as skipped when the programs are not there."""
    if not (PROGRAMS / "kube-apiserver").is_file():
        print("SKIPPED: no real kube-apiserver; `./dev test --kubernetes` builds and uses one", file=sys.stderr)
        sys.exit(SKIPPED)


def enter_own_network():
    """Runs the test again in a network and a mount namespace of its own, with POD_ADDRESS; skipped where those may not
    be made. All programs of the test then talk to nobody outside of it."""
    if os.environ.get("LLMD_OWN_NETWORK"):
        return
    unshare = ["unshare", "--net", "--mount"] + (["--map-root-user"] if os.geteuid() != 0 else [])
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        print("SKIPPED: no network namespace may be made here", file=sys.stderr)
        sys.exit(SKIPPED)
    prepare = f"ip link set lo up && ip addr add {POD_ADDRESS}/32 dev lo && exec \"$@\""
    os.execvpe("unshare", [*unshare, "sh", "-c", prepare, "sh", sys.executable, *sys.argv],
               os.environ | {"LLMD_OWN_NETWORK": "1"})


def now():
    """As the audit log writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class ControlPlane:
    def __init__(self, with_controllers=False, with_audit=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="llmd-kubernetes-"))
        self.with_controllers = with_controllers
        self.with_audit = with_audit
        self.processes = []
        self.outages = []  # (begin, end)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        client, peer, secure = free_ports(3)
        key = self.folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
        etcd = f"http://127.0.0.1:{client}"
        self.launch("etcd", f"--data-dir={self.folder}/etcd", f"--listen-client-urls={etcd}",
                    f"--advertise-client-urls={etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
                    "--unsafe-no-fsync", "--log-level=error")
        self.make_client_certificate()
        options = [f"--client-ca-file={self.folder}/ca.crt"]
        if os.environ.get("LLMD_OWN_NETWORK"):
            options.append(f"--advertise-address={POD_ADDRESS}")  # it looks for a default route otherwise
        if self.with_audit:
            (self.folder / "audit.yaml").write_text(json.dumps({
                "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
                "rules": [{"level": "Metadata"}]}))
            options += [f"--audit-policy-file={self.folder}/audit.yaml", f"--audit-log-path={self.folder}/audit.log"]
        self.launch("kube-apiserver", *options, f"--etcd-servers={etcd}", "--bind-address=127.0.0.1",
                    f"--secure-port={secure}", f"--cert-dir={self.folder}/certificates", f"--token-auth-file={self.folder}/tokens.csv",
                    "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc",
                    f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
                    "--service-cluster-ip-range=10.0.0.0/16", "--enable-priority-and-fairness=false",
                    # ImageVolume is what oci+native:// needs.
                    "--feature-gates=ImageVolume=true")
        self.url = f"https://127.0.0.1:{secure}"
        self.trust = ssl.create_default_context()
        self.trust.check_hostname = False
        self.trust.verify_mode = ssl.CERT_NONE
        self.wait_until(self.is_ready, "kube-apiserver is ready")
        self.kubeconfig = self.folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url, "certificate-authority":
                                                      f"{self.folder}/certificates/apiserver.crt"}}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}]}))
        if self.with_controllers:
            self.launch("kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
                        f"--service-account-private-key-file={key}", "--bind-address=127.0.0.1", "--secure-port=0")

    def make_client_certificate(self):
        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.folder)
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj",
                "/CN=clients", "-days", "2")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "client.key", "-out", "client.csr", "-subj",
                "/O=system:masters/CN=certified")
        openssl("x509", "-req", "-in", "client.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                "client.crt", "-days", "2")

    def client_certificate(self):
        """As the user of a kubeconfig."""
        return {f"client-{what}-data": base64.b64encode((self.folder / name).read_bytes()).decode()
                for what, name in (("certificate", "client.crt"), ("key", "client.key"))}

    def launch(self, program, *arguments):
        with open(self.folder / f"{program}.log", "ab") as log:
            self.processes.append(subprocess.Popen([PROGRAMS / program, *arguments], stdout=log, stderr=log,
                                                   cwd=self.folder))

    def kill(self, program):
        """As a node that loses power; start_again() brings it back at the same address."""
        self.outages.append((now(), None))
        process = next(each for each in self.processes if pathlib.Path(each.args[0]).name == program)
        process.kill()
        process.wait()
        self.processes.remove(process)
        return process.args

    def start_again(self, arguments):
        self.launch(pathlib.Path(arguments[0]).name, *arguments[1:])
        self.wait_until(self.is_ready, "kube-apiserver is ready again")
        self.outages[-1] = (self.outages[-1][0], now())

    def account(self, name, namespace):
        """A kubeconfig with a token of the ServiceAccount."""
        token = self.kubectl("create", "token", name, "-n", namespace).stdout.strip()
        config = json.loads(self.kubeconfig.read_text())
        config["users"] = [{"name": "test", "user": {"token": token}}]
        path = self.folder / f"kubeconfig-{name}"
        path.write_text(json.dumps(config))
        return path

    def audited(self, user, **fields):
        """Requests of a user as the server's audit log has them: those with these fields (verb=..., code=...). Not those
        of outages: a server that starts denies everything until it has read who may do what."""
        found = []
        for line in (self.folder / "audit.log").read_text().splitlines():
            event = json.loads(line)
            seen = {"verb": event["verb"], "code": event.get("responseStatus", {}).get("code"),
                    "subresource": event.get("objectRef", {}).get("subresource"), "uri": event["requestURI"]}
            if any(begin <= event["requestReceivedTimestamp"] <= end for begin, end in self.outages):
                continue
            if event["user"]["username"] == user and fields.items() <= seen.items():
                found.append(seen)
        return found

    def is_ready(self):
        try:
            return self.request("GET", "/readyz", raw=True) == b"ok"
        except (urllib.error.URLError, ConnectionError):
            return False

    def wait_until(self, condition, what):
        end = time.monotonic() + START_SECONDS
        while not condition():
            for process in self.processes:
                if process.poll() is not None:
                    program = pathlib.Path(process.args[0]).name
                    log = (self.folder / f"{program}.log").read_text(errors="replace")
                    raise RuntimeError(f"{program} has ended:\n{log[-3000:]}")
            if time.monotonic() > end:
                raise TimeoutError(f"waited {START_SECONDS} s until {what}")
            time.sleep(0.05)

    def request(self, method, path, body=None, raw=False, content_type="application/json"):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Authorization", f"Bearer {TOKEN}")
        request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, context=self.trust, timeout=30) as answer:
            content = answer.read()
        return content if raw else json.loads(content)

    def kubectl(self, *arguments, text=None, check=True):
        """The finished process; with check, a failure is an error that shows what kubectl said."""
        done = subprocess.run([PROGRAMS / "kubectl", f"--kubeconfig={self.kubeconfig}",
                               f"--cache-dir={self.folder}/cache", *arguments],
                              input=text, capture_output=True, text=True, timeout=120, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr}")
        return done

    def install(self, *paths):
        """Applies CustomResourceDefinitions and waits until each is served."""
        files = [argument for path in paths for argument in ("-f", str(path))]
        # Server-side: the annotation of a client-side apply would be longer than an annotation may be.
        made = self.kubectl("apply", "--server-side", "-o", "name", *files).stdout.split()
        # Again and again: kubectl gives up on definitions that have no conditions yet.
        self.wait_until(lambda: self.kubectl("wait", "--for=condition=Established", "--timeout=60s", *made,
                                             check=False).returncode == 0, "the definitions are served")
        return made

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    require()
    with ControlPlane(with_controllers=True) as plane:
        print(f"export KUBECONFIG={plane.kubeconfig}", flush=True)
        try:
            plane.processes[1].wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
