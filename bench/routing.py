"""Whether routing by cache pays: the published experiments of llm-d, on simulated engines (`llmd serve --simulate`)
that prefill and hold as many tokens as Qwen3-32B on two H100: 20,480 tokens/s, 307,328 tokens of KV cache, 44 ms between
tokens. Answers are 100 tokens instead of 1,000, so that a run settles within its time; eight engines behind Envoy, which
see every system prompt a few times before anything is measured.

    ladder   150 system prompts of 6,000 tokens, questions of 1,200: round robin against prefix-aware, by request rate
    policies system prompts that need 73 % of the fleet's cache: what each way of choosing makes of it
    latency  how far predicted times to the first token and per token are from what engines took, in percent
"""

import contextlib
import json
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import gateway_config
import machine
import peers
import picker_config
import processes
import report
import routing_plot
import simulators
from plan import Missing

ADDRESSES = [f"127.35.0.{i}" for i in range(1, 9)]
ENGINE_PORT = 8000
MODEL = "bench"
CACHE_TOKENS = 307_328
BLOCK_TOKENS = 16
PREFIX_TOKENS, QUESTION_TOKENS, BYTES_PER_TOKEN = 6000, 1200, 4
LADDER = (3, 10, 20, 30, 45, 60)
LADDER_GROUPS = 150
DEMAND = 0.73
POLICY_RATE = 40
WARM_RATE = 20  # below the knee of every policy
EVENTS_PORT = 5557
PREDICTION_TARGET = 15  # percent



def configuration(scorers, *plugins):
    """scorers: {type: weight}; plugins: further entries, or entries with parameters for those types."""
    given = {each["type"] for each in plugins}
    plugins = [*plugins, *({"type": name} for name in ("single-profile-handler", *scorers) if name not in given)]
    steps = [{"pluginRef": name, "weight": weight} for name, weight in scorers.items()]
    if not scorers:
        plugins.append({"type": "random-picker"})
        steps = [{"pluginRef": "random-picker"}]
    elif "latency-scorer" not in scorers:
        plugins.append({"type": "max-score-picker"})
        steps.append({"pluginRef": "max-score-picker"})
    return json.dumps({
        "apiVersion": "llm-d.ai/v1alpha1",
        "kind": "EndpointPickerConfig",
        "plugins": plugins,
        "schedulingProfiles": [{"name": "default", "plugins": steps}],
    })


LOAD = {"queue-scorer": 2, "kv-cache-utilization-scorer": 2}
# Tokens come from an engine's tokenizer, what is cached from every engine's own word.
TOKENS = {
    "type": "token-producer",
    "parameters": {"modelName": MODEL, "vllm": {"url": f"http://{ADDRESSES[0]}:{ENGINE_PORT}"}},
}
PRECISE = {
    "type": "precise-prefix-cache-scorer",
    "parameters": {
        "tokenProcessorConfig": {"blockSize": BLOCK_TOKENS},
        "kvEventsConfig": {"discoverPods": True, "podDiscoveryConfig": {"socketPort": EVENTS_PORT}},
        "speculativeIndexing": True,  # what was sent counts until the engine has said so
    },
}
POLICIES = {
    "random": configuration({}),
    "load": configuration(LOAD),
    "prefix only": configuration({"prefix-cache-scorer": 1}),
    "approximate": configuration(LOAD | {"prefix-cache-scorer": 3}),
    "precise": configuration(LOAD | {"precise-prefix-cache-scorer": 3}, TOKENS, PRECISE),
}
PREDICTED = configuration(
    LOAD | {"prefix-cache-scorer": 3}, {"type": "predicted-latency-producer", "parameters": {"streamingMode": True}}
)


def engines(plan):
    options = ["--prefill-time-per-token", 1000 / 20_480, "--inter-token-latency", 44, "--max-num-seqs", 256]
    options += ["--one-prefill-at-a-time"]  # the speed is the accelerator's, not each request's
    options += ["--enable-prefix-caching", "--kv-cache-size", CACHE_TOKENS // BLOCK_TOKENS]
    options += ["--block-size", BLOCK_TOKENS, "--max-model-len", 32_768, "--stream-interval", 10]
    options += ["--kv-events-config", json.dumps({"enable_kv_cache_events": True})]
    return simulators.running(plan, ADDRESSES, ENGINE_PORT, MODEL, options)


@contextlib.contextmanager
def envoy(plan, config, port):
    command = [peers.envoy(), "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    with processes.running(command, plan.build / "bench" / "envoy.log") as process:
        processes.wait_ready(f"http://127.0.0.1:{port}/v1/models", process)
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def fleet(plan, policy):
    """URLs of an Envoy before eight fresh engines and of the picker's metrics; `policy`: "round robin", one of POLICIES,
    or a configuration."""
    addresses = [f"{address}:{ENGINE_PORT}" for address in ADDRESSES]
    port = processes.free_port()
    with tempfile.TemporaryDirectory(prefix="llmd-bench-") as name, engines(plan), contextlib.ExitStack() as stack:
        folder = Path(name)
        if policy == "round robin":
            config = gateway_config.write_envoy(folder / "envoy.json", port, ADDRESSES, ENGINE_PORT, "ROUND_ROBIN")
            yield stack.enter_context(envoy(plan, config, port)), None
            return
        (folder / "picker.yaml").write_text(POLICIES.get(policy, policy))
        endpoints = picker_config.write_endpoints(folder / "endpoints.yaml", addresses)
        grpc, health, metrics = (processes.free_port() for _ in range(3))
        command = [plan.llmd, "picker", "--config-file", folder / "picker.yaml", "--endpoints-file", endpoints]
        command += ["--host", "127.0.0.1", "--grpc-port", grpc, "--grpc-health-port", health]
        command += ["--metrics-port", metrics, "--secure-serving=false"]
        process = stack.enter_context(processes.running(command, plan.build / "bench" / "picker.log"))
        processes.wait_ready(f"http://127.0.0.1:{metrics}/healthz", process)
        config = picker_config.write_envoy_with_picker(folder / "envoy.json", port, addresses, f"127.0.0.1:{grpc}")
        yield stack.enter_context(envoy(plan, config, port)), f"http://127.0.0.1:{metrics}"


def ask(plan, url, groups, rate, *limits):
    command = [plan.llmd, "bench", "load", "--url", url, "--model", MODEL, "--stream", "--ignore-eos", "--output", "json"]
    command += ["--prefix-groups", groups, "--prefix-bytes", PREFIX_TOKENS * BYTES_PER_TOKEN]
    command += ["--prompt-bytes", QUESTION_TOKENS * BYTES_PER_TOKEN, "--max-tokens", 100, "--rate", rate]
    command += ["--concurrency", 10_000, "--timeout", "180s", *limits]
    answer = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    try:
        return json.loads(answer.stdout)
    except ValueError:
        raise Missing(f"llmd bench load: {answer.stderr.strip()}") from None


def warm(plan, url, groups):
    ask(plan, url, groups, WARM_RATE, "--warmup", "0s", "--requests", groups // 2 if plan.quick else groups * 2)


def measure(plan, url, groups, rate):
    return ask(plan, url, groups, rate, "--warmup", "2s" if plan.quick else "5s", "--duration", "5s" if plan.quick else "20s")


def row(policy, groups, rate, result):
    first = result["first_token_ms"]
    asked = result["requests"] + result["failed"]
    found = {
        "policy": policy,
        "system_prompts": groups,
        "rate": rate,
        "answered": result["requests"] / asked if asked else 0,
        "ttft_mean_s": first["mean"] / 1000,
        "ttft_p50_s": first["p50"] / 1000,
        "ttft_p90_s": first["p90"] / 1000,
    }
    print(f"{policy}, {rate}/s: time to first token mean {found['ttft_mean_s']:.2f} s, "
          f"p90 {found['ttft_p90_s']:.2f} s, answered {found['answered']:.0%}", flush=True)
    return found


def table(rows):
    lines = ["| Policy | System prompts | Requests/s | TTFT mean | p50 | p90 | answered |", "|---|---|---|---|---|---|---|"]
    for each in rows:
        lines.append(
            f"| {each['policy']} | {each['system_prompts']} | {each['rate']} | {each['ttft_mean_s']:.2f} s | "
            f"{each['ttft_p50_s']:.2f} s | {each['ttft_p90_s']:.2f} s | {each['answered']:.0%} |"
        )
    return "\n".join(lines)


def climb(plan, policy):
    """One fleet goes up the ladder; what a step has cached serves the next, as in production."""
    with fleet(plan, policy) as (url, _):
        warm(plan, url, LADDER_GROUPS)
        for rate in LADDER[::3] if plan.quick else LADDER:
            yield row(policy, LADDER_GROUPS, rate, measure(plan, url, LADDER_GROUPS, rate))


def compare(plan, policy, groups):
    with fleet(plan, policy) as (url, _):
        warm(plan, url, groups)
        return row(policy, groups, POLICY_RATE, measure(plan, url, groups, POLICY_RATE))


def prediction_errors(plan):
    """What the predictor says of itself after a run: each request is predicted first and learnt from afterwards."""
    with fleet(plan, PREDICTED) as (url, metrics):
        warm(plan, url, LADDER_GROUPS)
        for rate in (10, 30, 50):
            measure(plan, url, LADDER_GROUPS, rate)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{metrics}/debug", timeout=10) as answer:
            state = find_state(json.load(answer))
    print(f"predicted latency: {state}", flush=True)
    return state


def find_state(debug):
    """The predictor's part of the page, wherever pools put it."""
    if isinstance(debug, dict):
        if "ttftMeanAbsolutePercentageError" in debug:
            return debug
        debug = list(debug.values())
    found = [find_state(each) for each in debug if isinstance(each, (dict, list))] if isinstance(debug, list) else []
    return next((each for each in found if each), None)


def latency_table(state):
    if not state:
        return "Not measured."
    lines = ["| Predicted | Requests learnt from | Mean absolute percentage error | Target |", "|---|---|---|---|"]
    for name, key in (("time to first token", "ttft"), ("time per token", "tpot")):
        error = state[f"{key}MeanAbsolutePercentageError"]
        met = "met" if error <= PREDICTION_TARGET else "missed"
        lines.append(f"| {name} | {state[f'{key}Samples']} | {error:.1f} % | ≤ {PREDICTION_TARGET} %: {met} |")
    return "\n".join(lines)


def run(plan):
    plan.need_commands("serve", "picker")
    ladder = [each for policy in ("round robin", "approximate") for each in climb(plan, policy)]
    groups = int(DEMAND * len(ADDRESSES) * CACHE_TOKENS / PREFIX_TOKENS)
    policies = [compare(plan, policy, groups) for policy in POLICIES]
    errors = prediction_errors(plan)
    described = machine.describe(plan.root)
    record = {"quick": plan.quick, "machine": described, "ladder": ladder, "policies": policies, "latency": errors}
    plan.out.mkdir(parents=True, exist_ok=True)
    (plan.out / "routing.json").write_text(json.dumps(record, indent=1) + "\n")
    (plan.out / "routing.svg").write_text(routing_plot.draw(ladder))
    (plan.out / "routing.md").write_text(
        f"# routing\n\n{'**Quick run: a look, not a record.** ' if plan.quick else ''}{__doc__.strip()}\n\n"
        f"![time to first token by request rate](routing.svg)\n\n## Ladder\n\n{table(ladder)}\n\n"
        f"## Policies at {DEMAND:.0%} cache demand\n\n{table(policies)}\n\n"
        f"## Predicted latency\n\n{latency_table(errors)}\n\n{report.machine_line(described)}.\n"
    )
    print(table(ladder + policies), flush=True)
