"""A real control plane on this machine: etcd, kube-apiserver and, where asked for, kube-controller-manager.

    with ControlPlane() as plane:
        plane.kubectl("get", "namespaces")

Run as a program it stays until Ctrl-C and prints the KUBECONFIG to use. LLMD_KUBERNETES names the folder with the
programs (`tests/kubernetes/build` makes and prints it); without it the tests are skipped.
"""
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


def require():
    """Ends the process as skipped when the programs are not there."""
    if not (PROGRAMS / "kube-apiserver").is_file():
        print("SKIPPED: no real kube-apiserver; `./dev test --kubernetes` builds and uses one", file=sys.stderr)
        sys.exit(SKIPPED)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class ControlPlane:
    def __init__(self, with_controllers=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="llmd-kubernetes-"))
        self.with_controllers = with_controllers
        self.processes = []

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
        self.launch("kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={secure}",
                    f"--cert-dir={self.folder}/certificates", f"--token-auth-file={self.folder}/tokens.csv",
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

    def launch(self, program, *arguments):
        with open(self.folder / f"{program}.log", "wb") as log:
            self.processes.append(subprocess.Popen([PROGRAMS / program, *arguments], stdout=log, stderr=log,
                                                   cwd=self.folder))

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
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", *made)
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
