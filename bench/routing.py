"""Whether routing by cache pays: the published experiments of llm-d on eight simulated engines that compute and hold as
much as Qwen3-32B on two H100: 20,480 prompt tokens/s, 307,328 tokens of KV cache, 44 ms between tokens, 256 sequences.

On virtual time (`llmd bench routing`: the picker, the engines' scheduler, blocks and evictions, and KV events are the real
ones; what computing takes is simulated; no network, no proxy), so that a busy machine changes nothing:

    ladder       150 system prompts of 6,000 tokens with 5 questions of 1,200 each, asked again and again, 1,000 tokens
                 per answer: 73 % of the fleet's cache. Each rate lasts 25 s, then all answers are awaited.
    prefix only  one system prompt, every question new, 60 s per rate; clients give up after 180 s.
    latency      how far predicted times to the first token and per token are from what happened. Engines whose speed
                 depends on load (22 ms between tokens alone, 44 when full) and varies (2 ms, 4 ms); 300 tokens.

In real time, through Envoy and `llmd picker` to eight `llmd serve --simulate`, 100 tokens per answer: that the same comes
out over the wire. These figures contain what else the machine does.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gateway_config
import machine
import peers
import picker_config
import processes
import report
import routing_plot
import routing_policies as policies
import routing_report
import simulators
from plan import Missing

RATES = (3, 10, 20, 30, 40, 50, 60)
QUICK_RATES = (3, 20, 60)
PREFIX_ONLY_RATES = (5, 10, 20)
PREDICTED_RATES = (10, 20, 40, 60)
EVENTS_PORTS = (25_557, 25_558)  # one per run with KV events: runs are side by side
SPEED = ["--prefill-time-per-token", 1000 / 20_480, "--one-prefill-at-a-time", "--max-num-seqs", 256]
CACHE = ["--enable-prefix-caching", "--kv-cache-size", 307_328 // policies.BLOCK_TOKENS]
CACHE += ["--block-size", policies.BLOCK_TOKENS, "--max-model-len", 32_768]
STEADY = ["--inter-token-latency", 44, "--prefill-overhead", 44]
VARYING = ["--inter-token-latency", 22, "--inter-token-latency-std-dev", 4, "--prefill-overhead", 22]
VARYING += ["--prefill-time-std-dev", 2, "--time-factor-under-load", 2]
WARM_UP = ["--warm-up", "15:750"]
ADDRESSES = [f"127.35.0.{i}" for i in range(1, 9)]
ENGINE_PORT = 8000
WIRE_RATE = 30
WIRE_GROUPS = 150
RUNNING = set()  # processes on virtual time


def on_virtual_time(plan, config, *options, engine=STEADY, events_port=None):
    """Steps of a fleet, as `llmd bench routing` reports them. config: None for round robin."""
    engine = [*SPEED, *CACHE, *engine]
    with tempfile.TemporaryDirectory(prefix="llmd-bench-") as folder:
        if config:
            path = Path(folder) / "picker.yaml"
            path.write_text(config)
            options = ["--config-file", path, *options]
        if events_port:
            options = ["--tokenize", *options]
            events = {"enable_kv_cache_events": True, "endpoint": f"tcp://*:{events_port}"}
            engine += ["--kv-events-config", json.dumps(events)]
        command = [str(word) for word in (plan.llmd, "bench", "routing", *options, "--", *engine)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            RUNNING.add(process)
            answer, complaint = process.communicate()
            RUNNING.discard(process)
    if process.returncode != 0:
        raise Missing(f"llmd bench routing: {complaint.strip()}")
    return json.loads(answer)["steps"]


def rows(policy, steps):
    for step in steps:
        first, asked = step["ttft_s"], step["requests"]
        yield {
            "policy": policy,
            "rate": step["rate"],
            "requests": asked,
            "answered": (asked - step["timed_out"] - step["refused"]) / asked,
            "ttft_mean_s": first["mean"],
            "ttft_p50_s": first["p50"],
            "ttft_p90_s": first["p90"],
            "seconds": step["seconds"],
            "output_tokens_per_s": step["output_tokens"] / step["seconds"],
            "cached": step["cached_share"],
            "waiting": step["waiting"],
        }


def ladder_runs(plan):
    """{policy: a function that climbs}; the two of 2025 do not check their guesses, nobody did then."""
    rates = QUICK_RATES if plan.quick else RATES
    options = [*WARM_UP, "--step", "10s" if plan.quick else "25s", "--rates", ",".join(map(str, rates))]
    one, two = EVENTS_PORTS

    def climb(config, *further, **settings):
        return lambda: on_virtual_time(plan, config, *options, *further, **settings)

    names = routing_report
    return {
        names.ROUND_ROBIN: climb(None),
        names.RANDOM: climb(policies.RANDOM),
        names.LOAD: climb(policies.LOAD_ONLY),
        names.APPROXIMATE_2025: climb(policies.APPROXIMATE_OF_2025, "--no-usage"),
        names.PRECISE_2025: climb(policies.precise(one, policies.LOAD_2025, 1), events_port=one),
        names.APPROXIMATE: climb(policies.APPROXIMATE),
        names.PRECISE: climb(policies.precise(two, policies.LOAD, 3), events_port=two),
    }


def prefix_only_runs(plan):
    options = ["--groups", 1, "--prompts-per-group", 0, "--timeout", "180s", "--step", "30s" if plan.quick else "60s"]
    options += ["--rates", ",".join(map(str, PREFIX_ONLY_RATES))]
    return {
        routing_report.PREFIX_ONLY: lambda: on_virtual_time(plan, policies.PREFIX_ONLY, *options),
        routing_report.PREFIX_AND_LOAD: lambda: on_virtual_time(plan, policies.APPROXIMATE, *options),
    }


def prediction_runs(plan):
    options = [*WARM_UP, "--output-tokens", 300, "--step", "10s" if plan.quick else "40s"]
    options += ["--rates", ",".join(map(str, PREDICTED_RATES))]
    return {
        "questions repeated": lambda: on_virtual_time(plan, policies.PREDICTED, *options, engine=VARYING),
        "every question new": lambda: on_virtual_time(
            plan, policies.PREDICTED, "--prompts-per-group", 0, *options, engine=VARYING
        ),
    }


def prediction_rows(prompts, steps):
    for name, key in (("time to first token", "ttft_error"), ("time per token", "tpot_error")):
        count = sum(step[key]["count"] for step in steps)
        error = 100 * sum(step[key]["sum"] for step in steps) / count if count else None
        yield {"predicted": name, "prompts": prompts, "count": count, "error_percent": error}


def all_together(runs):
    """As many at a time as there are cores: virtual time does not mind."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        waiting = {name: pool.submit(run) for name, run in runs.items()}
        try:
            for name, each in waiting.items():
                steps = each.result()
                print(f"{name}: {', '.join(routing_report.seen(step) for step in steps)}", flush=True)
                yield name, steps
        except BaseException:  # also Ctrl-C: nothing is left behind
            pool.shutdown(wait=False, cancel_futures=True)
            for process in tuple(RUNNING):
                process.kill()
            raise


# ── In real time ──────────────────────────────────────────────────────────────────────────────────────────────────────


def engines(plan):
    options = [*SPEED, *CACHE, *VARYING, "--stream-interval", 10]
    options += ["--enable-force-include-usage", "--enable-prompt-tokens-details"]
    return simulators.running(plan, ADDRESSES, ENGINE_PORT, policies.MODEL, options)


@contextlib.contextmanager
def envoy(plan, config, port):
    command = [peers.envoy(), "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    with processes.running(command, plan.build / "bench" / "envoy.log") as process:
        processes.wait_ready(f"http://127.0.0.1:{port}/v1/models", process)
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def fleet(plan, config):
    """URLs of an Envoy before eight fresh engines and of the picker's metrics; config: None for round robin."""
    addresses = [f"{address}:{ENGINE_PORT}" for address in ADDRESSES]
    port = processes.free_port()
    with tempfile.TemporaryDirectory(prefix="llmd-bench-") as name, engines(plan), contextlib.ExitStack() as stack:
        folder = Path(name)
        if config is None:
            written = gateway_config.write_envoy(folder / "envoy.json", port, ADDRESSES, ENGINE_PORT, "ROUND_ROBIN")
            yield stack.enter_context(envoy(plan, written, port)), None
            return
        (folder / "picker.yaml").write_text(config)
        endpoints = picker_config.write_endpoints(folder / "endpoints.yaml", addresses)
        grpc, health, metrics = (processes.free_port() for _ in range(3))
        command = [plan.llmd, "picker", "--config-file", folder / "picker.yaml", "--endpoints-file", endpoints]
        command += ["--host", "127.0.0.1", "--grpc-port", grpc, "--grpc-health-port", health]
        command += ["--metrics-port", metrics, "--secure-serving=false"]
        process = stack.enter_context(processes.running(command, plan.build / "bench" / "picker.log"))
        processes.wait_ready(f"http://127.0.0.1:{metrics}/healthz", process)
        written = picker_config.write_envoy_with_picker(folder / "envoy.json", port, addresses, f"127.0.0.1:{grpc}")
        yield stack.enter_context(envoy(plan, written, port)), f"http://127.0.0.1:{metrics}"


def ask(plan, url, rate, *limits):
    command = [plan.llmd, "bench", "load", "--url", url, "--model", policies.MODEL, "--stream", "--ignore-eos"]
    command += ["--prefix-groups", WIRE_GROUPS, "--prefix-bytes", 24_000, "--prompt-bytes", 4_800, "--max-tokens", 100]
    command += ["--rate", rate, "--concurrency", 10_000, "--timeout", "180s", "--output", "json", *limits]
    answer = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    try:
        return json.loads(answer.stdout)
    except ValueError:
        raise Missing(f"llmd bench load: {answer.stderr.strip()}") from None


def over_the_wire(plan, policy, config):
    with fleet(plan, config) as (url, metrics):
        ask(plan, url, 15, "--warmup", "0s", "--requests", WIRE_GROUPS if plan.quick else 2 * WIRE_GROUPS)
        found = ask(plan, url, WIRE_RATE, "--warmup", "0s", "--duration", "5s" if plan.quick else "25s")
        first, asked = found["first_token_ms"], found["requests"] + found["failed"]
        measured = {
            "policy": policy,
            "rate": WIRE_RATE,
            "requests": asked,
            "answered": found["requests"] / asked if asked else 0,
            "ttft_mean_s": first["mean"] / 1000,
            "ttft_p50_s": first["p50"] / 1000,
            "ttft_p90_s": first["p90"] / 1000,
            "load": os.getloadavg()[0],
        }
        if metrics:
            measured["predictor"] = predictor_state(metrics)
    print(f"over the wire, {policy}: time to first token mean {measured['ttft_mean_s']:.2f} s", flush=True)
    return measured


def predictor_state(metrics):
    """What the predictor says of its last hundred requests."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{metrics}/debug", timeout=10) as answer:
        return find_state(json.load(answer))


def find_state(debug):
    """The predictor's part of the page, wherever pools put it."""
    if isinstance(debug, dict):
        if "ttftMeanAbsolutePercentageError" in debug:
            return debug
        debug = list(debug.values())
    found = [find_state(each) for each in debug if isinstance(each, (dict, list))] if isinstance(debug, list) else []
    return next((each for each in found if each), None)


def run(plan):
    plan.need_commands("serve", "picker", "bench routing")
    described = machine.describe(plan.root)
    ladder = [row for policy, steps in all_together(ladder_runs(plan)) for row in rows(policy, steps)]
    prefix_only = [row for policy, steps in all_together(prefix_only_runs(plan)) for row in rows(policy, steps)]
    latency = [row for prompts, steps in all_together(prediction_runs(plan)) for row in prediction_rows(prompts, steps)]
    wire = [
        over_the_wire(plan, routing_report.ROUND_ROBIN, None),
        over_the_wire(plan, routing_report.PREDICTING, policies.PREDICTED),
    ]
    record = {"quick": plan.quick, "machine": described, "ladder": ladder, "prefix_only": prefix_only}
    record |= {"latency": latency, "wire": wire, "verdicts": routing_report.verdicts(ladder, prefix_only, latency)}
    plan.out.mkdir(parents=True, exist_ok=True)
    (plan.out / "routing.json").write_text(json.dumps(record, indent=1) + "\n")
    (plan.out / "routing.svg").write_text(routing_plot.draw(ladder))
    text = routing_report.page(record, __doc__.strip(), report.machine_line(described))
    (plan.out / "routing.md").write_text(text)
    print(text, flush=True)
