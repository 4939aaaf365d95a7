"""The parts of a picker by themselves: decisions and look-ups in the prefix index (picker_bench, kvcache_bench), and what
it costs to follow the numbers of 100 endpoints."""

import json
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import picker_config
import processes
import report
from plan import Missing

ENDPOINTS = 100
PAGES_DUE = ENDPOINTS * 20  # in a second
FIXED = json.dumps({
    "apiVersion": "llm-d.ai/v1alpha1",
    "kind": "EndpointPickerConfig",
    "plugins": [
        {"type": "single-profile-handler"},
        {"type": "queue-scorer"},
        {"type": "max-score-picker"},
        {"type": "metrics-data-source", "parameters": {"interval": "50ms"}},
        {"type": "core-metrics-extractor"},
    ],
    "schedulingProfiles": [
        {"name": "default", "plugins": [{"pluginRef": "queue-scorer", "weight": 1}, {"pluginRef": "max-score-picker"}]}
    ],
    "dataLayer": {
        "sources": [{"pluginRef": "metrics-data-source", "extractors": [{"pluginRef": "core-metrics-extractor"}]}]
    },
})


def counters(plan, library, pattern):
    """name → counters of each round"""
    binary = plan.build / "src" / library / f"{library}_bench"
    if not binary.exists():
        raise Missing(f"{binary} is not built: ./dev build {library}_bench")
    found = {}
    for _ in range(plan.rounds):
        command = [binary, f"--benchmark_filter={pattern}", "--benchmark_format=json"]
        answer = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
        for each in json.loads(answer.stdout)["benchmarks"]:
            name = each["name"].split("/iterations")[0].removesuffix("/manual_time")
            found.setdefault(name, []).append(each)
    return found


def of(found, name, counter):
    return [each[counter] for each in found[name]]


def decisions(plan):
    found = counters(plan, "picker", "BM_Decide100Endpoints(256Blocks|256NewBlocks|6400Blocks)")
    for name, title, counter, at_most in (
        ("256Blocks", "decision, 256 known blocks: P99", "cpu_p99_us", 20),
        ("256NewBlocks", "decision, 256 new blocks: P99", "cpu_p99_us", 20),
        ("6400Blocks", "decision, 6,400 blocks out of 3.1 million: P50", "cpu_p50_us", 100),
        ("6400Blocks", "decision, 6,400 blocks out of 3.1 million: P99", "cpu_p99_us", 250),
    ):
        case = f"BM_Decide100Endpoints{name}"
        machine = statistics.median(of(found, case, "machine_p99_us"))
        note = f"time of the thread; P99 of a loop that lasts as long as the median decision: {machine:.1f} µs"
        yield report.Figure(title, "µs", of(found, case, counter), at_most=at_most, note=note)


def look_ups(plan):
    found = counters(plan, "kvcache", "match/(chains|blocks)_cold|match_single_blocks")
    for name, title in (
        ("match/chains_cold", "remembered by routing"),
        ("match/blocks_cold", "told by engines"),
        ("match_single_blocks", "told one at a time"),
    ):
        for counter, at_most in (("p50", 100), ("p99", 250)):
            runs = of(found, name, f"cpu_{counter}_us")
            yield report.Figure(f"look-up of 6,400 cold blocks, {title}: {counter.upper()}", "µs", runs, at_most=at_most)
        memory = of(found, name, "MiB")
        yield report.Figure(f"memory, 100 endpoints × 31,250 distinct blocks, {title}", "MiB", memory, at_most=200)
    allocations = of(found, "match/chains_cold", "allocations")
    yield report.Figure("allocations in 300 look-ups", "", allocations, at_most=0)


def served(port):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.36.0.1:{port}/count", timeout=10) as answer:
        return int(answer.read())


def scraping(plan, folder):
    """Cores that the picker uses with nothing to do but to ask 100 endpoints every 50 ms."""
    pages_port, grpc, health, metrics = (processes.free_port() for _ in range(4))
    addresses = [f"127.36.0.{number}:{pages_port}" for number in range(1, ENDPOINTS + 1)]
    endpoints = picker_config.write_endpoints(folder / "many.yaml", addresses)
    config = folder / "fixed.yaml"
    config.write_text(FIXED)
    server = [sys.executable, Path(__file__).with_name("metrics_pages.py"), pages_port]
    command = [plan.llmd, "picker", "--endpoints-file", endpoints, "--config-file", config, "--host", "127.0.0.1"]
    command += ["--grpc-port", grpc, "--grpc-health-port", health, "--metrics-port", metrics, "--secure-serving=false"]
    log = plan.build / "bench"
    with processes.running(server, log / "metrics-pages.log") as pages:
        processes.wait_ready(f"http://127.36.0.1:{pages_port}/metrics", pages)
        with processes.running(command, log / "picker-idle.log") as picker:
            processes.wait_ready(f"http://127.0.0.1:{metrics}/healthz", picker)
            time.sleep(2)
            runs, rates = [], []
            for _ in range(plan.rounds):
                cpu, asked, start = processes.cpu_seconds(picker.pid), served(pages_port), time.monotonic()
                time.sleep(plan.seconds)
                took = time.monotonic() - start
                rates.append((served(pages_port) - asked) / took)
                runs.append((processes.cpu_seconds(picker.pid) - cpu) / took)
    yield report.Figure("idle, 100 endpoints asked every 50 ms, pages of 100 KB", "cores", runs, at_most=0.3)
    # On a machine too busy to serve the pages the cores above say nothing.
    yield report.Figure("the pages it got meanwhile", "pages/s", rates, at_least=0.95 * PAGES_DUE)


def figures(plan, folder):
    return [*decisions(plan), *look_ups(plan), *scraping(plan, folder)]
