"""Whether routing by cache pays: the published experiments of llm-d, on simulated engines (`llmd serve --simulate`)
that prefill and hold as many tokens as Qwen3-32B on two H100: 20,480 tokens/s, 307,328 tokens of KV cache, 44 ms between
tokens. Answers are 100 tokens instead of 1,000, so that a run settles within its time; eight engines behind Envoy.

    ladder   150 system prompts of 6,000 tokens, questions of 1,200: round robin against prefix-aware, by request rate
    policies system prompts that need 73 % of the fleet's cache: what each way of choosing makes of it
"""

import contextlib
import json
import subprocess
import tempfile
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

LOAD = "[{pluginRef: queue-scorer, weight: 1}, {pluginRef: kv-cache-utilization-scorer, weight: 1}, {pluginRef: max-score-picker}]"
APPROXIMATE = "[{pluginRef: queue-scorer, weight: 2}, {pluginRef: kv-cache-utilization-scorer, weight: 2}, {pluginRef: prefix-cache-scorer, weight: 3}, {pluginRef: max-score-picker}]"
PREFIX_ONLY = "[{pluginRef: prefix-cache-scorer, weight: 1}, {pluginRef: max-score-picker}]"
RANDOM = "[{pluginRef: random-picker}]"


def configuration(steps):
    names = ("queue-scorer", "kv-cache-utilization-scorer", "prefix-cache-scorer", "max-score-picker", "random-picker")
    plugins = "".join(f"- type: {name}\n" for name in names if name in steps)
    return (
        "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n"
        f"plugins:\n- type: single-profile-handler\n{plugins}"
        f"schedulingProfiles:\n- name: default\n  plugins: {steps}\n"
    )


POLICIES = {
    "random": configuration(RANDOM),
    "load": configuration(LOAD),
    "prefix only": configuration(PREFIX_ONLY),
    "approximate": configuration(APPROXIMATE),
}


def engines(plan):
    options = ["--prefill-time-per-token", 1000 / 20_480, "--inter-token-latency", 44, "--max-num-seqs", 256]
    options += ["--enable-prefix-caching", "--kv-cache-size", CACHE_TOKENS // BLOCK_TOKENS]
    options += ["--block-size", BLOCK_TOKENS, "--max-model-len", 32_768, "--stream-interval", 10]
    return simulators.running(plan, ADDRESSES, ENGINE_PORT, MODEL, options)


@contextlib.contextmanager
def envoy(plan, config, port):
    command = [peers.envoy(), "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    with processes.running(command, plan.build / "bench" / "envoy.log") as process:
        processes.wait_ready(f"http://127.0.0.1:{port}/v1/models", process)
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def fleet(plan, policy):
    """URL of an Envoy before eight fresh engines; `policy`: "round robin" or one of POLICIES."""
    addresses = [f"{address}:{ENGINE_PORT}" for address in ADDRESSES]
    port = processes.free_port()
    with tempfile.TemporaryDirectory(prefix="llmd-bench-") as name, engines(plan), contextlib.ExitStack() as stack:
        folder = Path(name)
        if policy == "round robin":
            config = gateway_config.write_envoy(folder / "envoy.json", port, ADDRESSES, ENGINE_PORT, "ROUND_ROBIN")
            yield stack.enter_context(envoy(plan, config, port))
            return
        (folder / "picker.yaml").write_text(POLICIES[policy])
        endpoints = picker_config.write_endpoints(folder / "endpoints.yaml", addresses)
        grpc, health, metrics = (processes.free_port() for _ in range(3))
        command = [plan.llmd, "picker", "--config-file", folder / "picker.yaml", "--endpoints-file", endpoints]
        command += ["--host", "127.0.0.1", "--grpc-port", grpc, "--grpc-health-port", health]
        command += ["--metrics-port", metrics, "--secure-serving=false"]
        process = stack.enter_context(processes.running(command, plan.build / "bench" / "picker.log"))
        processes.wait_ready(f"http://127.0.0.1:{metrics}/healthz", process)
        config = picker_config.write_envoy_with_picker(folder / "envoy.json", port, addresses, f"127.0.0.1:{grpc}")
        yield stack.enter_context(envoy(plan, config, port))


def measure(plan, url, groups, rate):
    command = [plan.llmd, "bench", "load", "--url", url, "--model", MODEL, "--stream", "--ignore-eos", "--output", "json"]
    command += ["--prefix-groups", groups, "--prefix-bytes", PREFIX_TOKENS * BYTES_PER_TOKEN]
    command += ["--prompt-bytes", QUESTION_TOKENS * BYTES_PER_TOKEN, "--max-tokens", 100, "--rate", rate]
    command += ["--concurrency", 10_000, "--timeout", "180s"]
    command += ["--warmup", "3s" if plan.quick else "15s", "--duration", "5s" if plan.quick else "30s"]
    answer = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    try:
        return json.loads(answer.stdout)
    except ValueError:
        raise Missing(f"llmd bench load: {answer.stderr.strip()}") from None


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


def run(plan):
    plan.need_commands("serve", "picker")
    ladder, policies = [], []
    for policy in ("round robin", "approximate"):
        for rate in LADDER[::3] if plan.quick else LADDER:
            with fleet(plan, policy) as url:  # fresh caches for each step
                ladder.append(row(policy, LADDER_GROUPS, rate, measure(plan, url, LADDER_GROUPS, rate)))
    groups = int(DEMAND * len(ADDRESSES) * CACHE_TOKENS / PREFIX_TOKENS)
    for policy in POLICIES:
        with fleet(plan, policy) as url:
            policies.append(row(policy, groups, POLICY_RATE, measure(plan, url, groups, POLICY_RATE)))
    described = machine.describe(plan.root)
    record = {"quick": plan.quick, "machine": described, "ladder": ladder, "policies": policies}
    plan.out.mkdir(parents=True, exist_ok=True)
    (plan.out / "routing.json").write_text(json.dumps(record, indent=1) + "\n")
    (plan.out / "routing.svg").write_text(routing_plot.draw(ladder))
    (plan.out / "routing.md").write_text(
        f"# routing\n\n{'**Quick run: a look, not a record.** ' if plan.quick else ''}{__doc__.strip()}\n\n"
        f"![time to first token by request rate](routing.svg)\n\n## Ladder\n\n{table(ladder)}\n\n"
        f"## Policies at {DEMAND:.0%} cache demand\n\n{table(policies)}\n\n{report.machine_line(described)}.\n"
    )
    print(table(ladder + policies), flush=True)
