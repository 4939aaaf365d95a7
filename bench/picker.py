"""What an endpoint picker costs: Envoy alone with least request, against Envoy asking `llmd picker` about every
request, interleaved; eight instant engines. CPU time per request of each process tree, in multiples of Envoy alone.

    short   1 KB prompts, 16 tokens streamed, 32 clients
    rate    the same at 200 requests/s, idle costs included
    long    220 KB prompts, 20 clients
    tokens  4,000 tokens streamed as fast as they come; answers echoed by the picker, or not shown to it

Then its parts by themselves (picker_micro.py). Times are of the thread or process, not of the clock on the wall.
"""

import contextlib
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gateway_config
import peers
import picker_config
import picker_micro
import processes
import report
import simulators
from plan import Missing

ADDRESSES = [f"127.34.0.{i}" for i in range(1, 9)]
ENGINE_PORT = 8000
MODEL = "bench"


@dataclass
class Load:
    name: str
    title: str
    arguments: list
    picker_at_most: float  # × Envoy alone
    both_at_most: float
    hidden: tuple = ()  # the same two where answers are not shown

    @property
    def modes(self):
        return ["duplex", "no-answers"] if self.hidden else ["duplex"]

    def targets(self, mode):
        return self.hidden if mode == "no-answers" else (self.picker_at_most, self.both_at_most)


SHORT = ["--prompt-bytes", 1024, "--max-tokens", 16]
LOADS = [
    Load("short", "1 KB prompt, 16 tokens streamed, 32 clients", [*SHORT, "--concurrency", 32], 0.7, 3.5),
    Load("rate", "the same, 200 requests/s", [*SHORT, "--rate", 200, "--concurrency", 256], 0.75, 2.8),
    Load("long", "220 KB prompt, 20 clients", ["--prompt-bytes", 220_000, "--max-tokens", 16, "--concurrency", 20], 1.7, 5),
    Load("tokens", "4,000 tokens streamed", ["--prompt-bytes", 64, "--max-tokens", 4000, "--concurrency", 4], 0.45, 1.7, (0.05, 1.2)),
]


def engines(plan):
    options = ["--max-num-seqs", "64", "--max-model-len", "1000000"]
    return simulators.running(plan, ADDRESSES, ENGINE_PORT, MODEL, options)


@contextlib.contextmanager
def proxies(plan, folder):
    """way → (URL, {name: process id})"""
    with contextlib.ExitStack() as stack:

        def start(name, command):
            return stack.enter_context(processes.running(command, plan.build / "bench" / f"{name}.log"))

        def envoy(name, port, config):
            command = [peers.envoy(), "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
            process = start(name, command)
            processes.wait_ready(f"http://127.0.0.1:{port}/v1/models", process)
            return f"http://127.0.0.1:{port}", process.pid

        addresses = [f"{address}:{ENGINE_PORT}" for address in ADDRESSES]
        endpoints = picker_config.write_endpoints(folder / "endpoints.yaml", addresses)
        grpc, health, metrics, alone_port = (processes.free_port() for _ in range(4))
        picker = [plan.llmd, "picker", "--endpoints-file", endpoints, "--host", "127.0.0.1", "--grpc-port", grpc]
        picker += ["--grpc-health-port", health, "--metrics-port", metrics, "--secure-serving=false"]
        process = start("picker", picker)
        processes.wait_ready(f"http://127.0.0.1:{metrics}/healthz", process)
        config = gateway_config.write_envoy(folder / "alone.json", alone_port, ADDRESSES, ENGINE_PORT)
        url, pid = envoy("envoy-alone", alone_port, config)
        ways = {"alone": (url, {"envoy": pid})}
        for mode in ("duplex", "no-answers"):
            port = processes.free_port()
            config = picker_config.write_envoy_with_picker(
                folder / f"{mode}.json", port, addresses, f"127.0.0.1:{grpc}", mode
            )
            url, pid = envoy(f"envoy-{mode}", port, config)
            ways[mode] = (url, {"envoy": pid, "picker": process.pid})
        yield ways


def measure(plan, way, load):
    """name → CPU milliseconds per request"""
    url, pids = way
    command = [plan.llmd, "bench", "load", "--url", url, "--ignore-eos", "--stream", "--model", MODEL, "--output", "json"]
    command += [*load.arguments, "--warmup", "1s", "--duration", f"{plan.seconds}s"]
    for name, pid in pids.items():
        command += ["--pid", f"{name}={pid}"]
    answer = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    result = json.loads(answer.stdout)
    if result["failed"] or not result["requests"]:
        raise Missing(f"{load.name}: {result['failed']} of {result['requests']} requests failed: {result['errors']}")
    spent = {each["name"]: each["cpu_ms_per_request"] for each in result["processes"]}
    shown = ", ".join(f"{name} {value:.4f} ms" for name, value in spent.items())
    print(f"{load.name}: {shown}; {result['requests_per_second']:.0f} requests/s", flush=True)
    return spent


def figures_of(plan, ways, load):
    alone, picker, both = [], {mode: [] for mode in load.modes}, {mode: [] for mode in load.modes}
    for _ in range(plan.rounds):
        alone.append(measure(plan, ways["alone"], load)["envoy"])
        for mode in load.modes:
            spent = measure(plan, ways[mode], load)
            picker[mode].append(spent["picker"])
            both[mode].append(spent["picker"] + spent["envoy"])
    for mode in load.modes:
        note = "" if len(load.modes) == 1 else ", echoed" if mode == "duplex" else ", not shown"
        picker_at_most, both_at_most = load.targets(mode)
        yield report.Figure(f"{load.title}{note}: picker", "ms CPU", picker[mode], alone, "Envoy alone", at_most=picker_at_most)
        yield report.Figure(f"{load.title}{note}: Envoy + picker", "ms CPU", both[mode], alone, "Envoy alone", at_most=both_at_most)


def run(plan):
    plan.need_commands("serve", "picker")
    with tempfile.TemporaryDirectory(prefix="llmd-bench-") as folder, engines(plan):
        with proxies(plan, Path(folder)) as ways:
            figures = [figure for load in LOADS for figure in figures_of(plan, ways, load)]
    with tempfile.TemporaryDirectory(prefix="llmd-bench-") as folder:
        figures += picker_micro.figures(plan, Path(folder))
    details = {"engines": len(ADDRESSES), "peer": f"Envoy {peers.envoy_version()}, one worker each"}
    report.write(plan, "picker", figures, details)
