"""The gateway as a relay, against Envoy (which does not pick), SMG (which picks by prefix as we do) and no proxy at all:
eight instant engines, 1 KB prompts, 16 tokens streamed. The goals are multiples of Envoy.

    CPU     32 clients in a closed loop; CPU time of the proxy's process tree per request
    latency 200 requests/s in an open loop; time to the first token, and CPU as above
    large   prompts of 220 KB and 450 KB, answers of 4,000 tokens: CPU as above, and memory with 100 clients
"""

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

import cancel
import gateway_config
import peers
import processes
import report
import simulators
from plan import Missing

ADDRESSES = [f"127.33.0.{i}" for i in range(1, 9)]  # not of the network that pods draw from
ENGINE_PORT = 8000
MODEL = "bench"
REQUEST = {"--prompt-bytes": 1024, "--max-tokens": 16, "--model": MODEL, "--output": "json"}
CLIENTS = 32
RATE = 200
# title, arguments that replace those of REQUEST, the goal as a ratio to Envoy
LARGE = [
    ("220 KB prompts, 20 clients", {"--prompt-bytes": 220 << 10, "--concurrency": 20}, 1.2),
    ("450 KB prompts, 90 % shared, 8 clients",
     {"--prompt-bytes": 45 << 10, "--prefix-groups": 1, "--prefix-bytes": 405 << 10, "--concurrency": 8}, 1.0),
    ("answers of 4,000 tokens, 8 clients", {"--max-tokens": 4000, "--concurrency": 8}, 0.7),
]


def engines(plan):
    options = ["--max-num-seqs", "64", "--max-model-len", "200000"]
    return simulators.running(plan, ADDRESSES, ENGINE_PORT, MODEL, options)


@contextlib.contextmanager
def proxies(plan, folder):
    """name → (URL, process id or nothing)"""
    with contextlib.ExitStack() as stack:

        def start(name, command, port, ready="/v1/models", **options):
            process = stack.enter_context(processes.running(command, plan.build / "bench" / f"{name}.log", **options))
            processes.wait_ready(f"http://127.0.0.1:{port}{ready}", process)
            return f"http://127.0.0.1:{port}", process.pid

        ports = [processes.free_port() for _ in range(4)]
        config = gateway_config.write_envoy(folder / "envoy.json", ports[0], ADDRESSES, ENGINE_PORT)
        manifests = gateway_config.write_manifests(folder / "manifests", ADDRESSES, ENGINE_PORT)
        envoy = [peers.envoy(), "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        llmd = [plan.llmd, "gateway", "-f", manifests, "--host", "127.0.0.1", "--port", ports[1], "--loops", "1"]
        llmd += ["--admin", "none"]
        smg = [peers.smg(), "launch", "--host", "127.0.0.1", "--port", ports[2], "--policy", "cache_aware"]
        smg += ["--log-level", "error", "--prometheus-host", "127.0.0.1", "--prometheus-port", ports[3]]
        smg += ["--worker-urls", *(f"http://{each}:{ENGINE_PORT}" for each in ADDRESSES)]
        one_worker = os.environ | {"TOKIO_WORKER_THREADS": "1"}
        yield {
            "envoy": start("envoy", envoy, ports[0]),
            "llmd": start("llmd", llmd, ports[1]),
            "smg": start("smg", smg, ports[2], "/readiness", env=one_worker),
            "direct": (f"http://{ADDRESSES[0]}:{ENGINE_PORT}", None),
        }


def load(plan, target, arguments, seconds):
    url, pid = target
    options = [word for pair in (REQUEST | arguments).items() for word in pair]
    command = [plan.llmd, "bench", "load", "--url", url, "--ignore-eos", "--stream", *options, "--warmup", "1s"]
    command += ["--duration", f"{seconds}s"] + (["--pid", f"proxy={pid}"] if pid else [])
    answer = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    result = json.loads(answer.stdout)
    if result["failed"] or not result["requests"]:
        raise Missing(f"{url}: {result['failed']} requests failed, {result['requests']} succeeded: {result['errors']}")
    if result["events_per_request"] < 16:
        raise Missing(f"{url}: {result['events_per_request']} events per answer, fewer than the tokens asked for")
    return result


PEERS = {"envoy": "Envoy", "smg": "SMG"}


def compared(title, unit, runs, goal=None, note=""):
    """One figure per peer; the goal is of the ratio to Envoy."""
    for name, shown in PEERS.items():
        at_most = goal if name == "envoy" else None
        yield report.Figure(title, unit, runs["llmd"], runs[name], shown, at_most=at_most, note=note if at_most else "")


def measure_cpu(plan, targets):
    runs = {name: [] for name in targets}
    rates = {name: [] for name in targets}
    for _ in range(plan.rounds):
        for name, target in targets.items():
            result = load(plan, target, {"--concurrency": CLIENTS}, plan.seconds)
            rates[name].append(result["requests_per_second"])
            if target[1]:
                runs[name].append(result["processes"][0]["cpu_ms_per_request"])
            cpu = f"{runs[name][-1]:.4f} ms CPU" if target[1] else "no proxy"
            print(f"closed loop, {name}: {cpu}, {rates[name][-1]:.0f} requests/s", flush=True)
    title = "CPU per request, 32 clients, 16 tokens streamed"
    yield from compared(title, "ms", runs, goal=1.0)
    yield from compared("requests per second, the same runs", "1/s", rates)


def measure_latency(plan, targets):
    runs = {name: [] for name in targets}
    cpu = {name: [] for name in targets}
    for _ in range(1 if plan.quick else 3):
        for name, target in targets.items():
            result = load(plan, target, {"--rate": RATE, "--concurrency": 256}, plan.long_seconds)
            runs[name].append(result["first_token_ms"])
            if target[1]:
                cpu[name].append(result["processes"][0]["cpu_ms_per_request"])
            print(f"open loop, {name}: first token p50 {runs[name][-1]['p50']:.3f} p99 {runs[name][-1]['p99']:.3f} ms", flush=True)
    yield from compared(f"CPU per request at {RATE} requests/s", "ms", cpu, goal=0.7)
    for percentile in ("p50", "p99"):
        of = {name: [run[percentile] for run in runs[name]] for name in runs}
        title = f"time to first token at {RATE} requests/s, {percentile}"
        note = f"runs of {plan.long_seconds} s; without any proxy {report.shown(of['direct'])} ms"
        yield from compared(title, "ms", of, goal=1.0, note=note)


def measure_large(plan, targets):
    for title, arguments, goal in LARGE:
        runs = {"llmd": [], "envoy": [], "smg": []}
        for _ in range(plan.rounds):
            for name in runs:
                result = load(plan, targets[name], arguments, plan.seconds)
                runs[name].append(result["processes"][0]["cpu_ms_per_request"])
                print(f"{title}, {name}: {runs[name][-1]:.4f} ms CPU", flush=True)
        yield from compared(f"CPU per request, {title}", "ms", runs, goal)


def resident_mib(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def measure_memory(plan, targets):
    """The highest resident set of each proxy after 100 clients with large prompts."""
    peaks = {}
    for name in ("llmd", *PEERS):
        load(plan, targets[name], {"--prompt-bytes": 220 << 10, "--concurrency": 100}, plan.seconds)
        peaks[name] = [resident_mib(targets[name][1])]
        print(f"memory, {name}: {peaks[name][0]:.0f} MiB", flush=True)
    figure = report.Figure("peak memory, 220 KB prompts, 100 clients", "MiB", peaks["llmd"], at_most=100)
    figure.note = ", ".join(f"{shown}: {report.shown(peaks[name])} MiB" for name, shown in PEERS.items())
    yield figure


def details():
    compared_with = f"Envoy {peers.envoy_version()} and SMG {peers.smg_version()} (cache_aware), one worker each"
    return {"engines": len(ADDRESSES), "clients": CLIENTS, "peers": compared_with}


def run(plan):
    plan.need_commands("serve", "bench", "gateway")
    with tempfile.TemporaryDirectory(prefix="llmd-bench-") as folder, engines(plan):
        with proxies(plan, Path(folder)) as targets:
            figures = [*measure_cpu(plan, targets), *measure_large(plan, targets), *measure_memory(plan, targets)]
        figures.append(cancel.measure(plan, Path(folder)))
    report.write(plan, "gateway", figures, details())


def run_latency(plan):
    """A scenario of its own: a 99th percentile is worth nothing unless the machine was quiet all the time."""
    plan.need_commands("serve", "bench", "gateway")
    with tempfile.TemporaryDirectory(prefix="llmd-bench-") as folder, engines(plan), proxies(plan, Path(folder)) as targets:
        figures = list(measure_latency(plan, targets))
    report.write(plan, "latency", figures, details())
