"""What the routing runs say: tables, and whether each published finding came out."""

ROUND_ROBIN = "round robin"
RANDOM = "random"
LOAD = "load only"
APPROXIMATE_2025 = "approximate, 2025's defaults"
PRECISE_2025 = "precise, 2025's weights"
APPROXIMATE = "approximate"
PRECISE = "precise"
PREFIX_ONLY = "prefix only"
PREFIX_AND_LOAD = "prefix and load"
PREDICTING = "approximate, predicting"

PREDICTION_TARGET = 15  # percent
FLAT = 0.5  # seconds to the first token, mean: published 0.12 to 0.30
ALIKE = 1.15  # ratios up to this are no difference


def seen(step):
    return f"{step['rate']:g}/s {step['ttft_s']['mean']:.2f} s"


def of(rows, policy):
    return [each for each in rows if each["policy"] == policy]


def first_token(rows, policy):
    """Mean over all requests of the ladder."""
    mine = of(rows, policy)
    return sum(each["ttft_mean_s"] * each["requests"] for each in mine) / sum(each["requests"] for each in mine)


def throughput(rows, policy):
    mine = of(rows, policy)
    return sum(each["output_tokens_per_s"] * each["seconds"] for each in mine) / sum(each["seconds"] for each in mine)


def knee(rows, policy):
    """The first rate at which the first token takes three times as long as at the lowest."""
    mine = of(rows, policy)
    return next((each["rate"] for each in mine if each["ttft_mean_s"] > 3 * mine[0]["ttft_mean_s"]), None)


def verdict(finding, met, found):
    return {"finding": finding, "met": bool(met), "found": found}


def ladder_verdicts(rows):
    seconds = {each["policy"]: first_token(rows, each["policy"]) for each in rows}
    shown = "; ".join(f"{policy} {value:.2f} s" for policy, value in seconds.items())
    bend = knee(rows, ROUND_ROBIN)
    yield verdict("round robin has its knee near 20 requests/s", bend == 20, f"at {bend:g}/s" if bend else "none")
    for policy in (APPROXIMATE, PRECISE):
        worst = max(each["ttft_mean_s"] for each in of(rows, policy))
        yield verdict(f"{policy} stays flat to 60 requests/s", worst <= FLAT, f"at most {worst:.2f} s (mean of a rate)")
    alike = max(seconds[LOAD], seconds[RANDOM]) / min(seconds[LOAD], seconds[RANDOM])
    yield verdict("load only is about random", alike <= ALIKE, f"{alike:.2f}× apart")
    ordered = (PRECISE_2025, APPROXIMATE_2025, LOAD)
    apart = all(ALIKE * seconds[better] < seconds[worse] for better, worse in zip(ordered, ordered[1:], strict=False))
    yield verdict("precise > approximate > load only at 73 %, as then configured", apart, shown)
    ratio = seconds[APPROXIMATE] / seconds[PRECISE]
    yield verdict("precise > approximate with today's weights", ratio > ALIKE, f"{ratio:.2f}× the time; see below")


def prefix_only_verdicts(rows):
    alone, together = of(rows, PREFIX_ONLY)[-1], of(rows, PREFIX_AND_LOAD)[-1]
    collapsed = alone["answered"] < 0.7 and together["answered"] == 1
    yield verdict(
        "prefix only collapses on the way to 20 requests/s, prefix and load does not",
        collapsed,
        f"answered {alone['answered']:.0%} at {alone['output_tokens_per_s']:.0f} tokens/s against "
        f"{together['answered']:.0%} at {together['output_tokens_per_s']:.0f}",
    )


def latency_verdicts(rows):
    for each in rows:
        error = each["error_percent"]
        met = error is not None and error <= PREDICTION_TARGET
        found = f"{error:.1f} % of {each['count']} predictions" if error is not None else "nothing was predicted"
        name = f"{each['predicted']} foreseen to {PREDICTION_TARGET} % ({each['prompts']})"
        yield verdict(name, met, found)


def verdicts(ladder, prefix_only, latency):
    return [*ladder_verdicts(ladder), *prefix_only_verdicts(prefix_only), *latency_verdicts(latency)]


NOTE = """\
"As then configured": the chart of 2025 gave no weights, for both policies here, so that load moves prompts away from their
cache and copies pile up. The approximate index has the defaults of then (256 blocks of 64 characters, 31,250 blocks per server,
more than an engine holds) and gets no usage to check itself by: it goes on believing in copies that are long evicted. With
today's weights (prefix 3, queue 2, cache 2) prompts stay where they are and guesses stay true: both kinds of index do equally
well, there is nothing left to gain on this load. llm-d's own later run (12,598 against 13,163 tokens/s) found that too."""


def verdict_table(found):
    lines = ["| Finding | Here | |", "|---|---|---|"]
    lines += [f"| {each['finding']} | {each['found']} | {'met' if each['met'] else '**missed**'} |" for each in found]
    return "\n".join(lines)


def summary_table(rows):
    lines = ["| Policy | TTFT mean | Output tokens/s | Waiting per engine |", "|---|---|---|---|"]
    for policy in dict.fromkeys(each["policy"] for each in rows):
        mine = of(rows, policy)
        waiting = sum(each["waiting"] * each["seconds"] for each in mine) / sum(each["seconds"] for each in mine)
        lines.append(f"| {policy} | {first_token(rows, policy):.2f} s | {throughput(rows, policy):.0f} | {waiting:.1f} |")
    return "\n".join(lines)


def table(rows):
    lines = [
        "| Policy | Requests/s | TTFT mean | p50 | p90 | Output tokens/s | Cached | Answered |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in rows:
        lines.append(
            f"| {each['policy']} | {each['rate']:g} | {each['ttft_mean_s']:.2f} s | {each['ttft_p50_s']:.2f} s | "
            f"{each['ttft_p90_s']:.2f} s | {each['output_tokens_per_s']:.0f} | {each['cached']:.0%} | {each['answered']:.0%} |"
        )
    return "\n".join(lines)


def wire_table(rows):
    lines = ["| Policy | Requests/s | TTFT mean | p50 | p90 | Answered | Load |", "|---|---|---|---|---|---|---|"]
    for each in rows:
        lines.append(
            f"| {each['policy']} | {each['rate']:g} | {each['ttft_mean_s']:.2f} s | {each['ttft_p50_s']:.2f} s | "
            f"{each['ttft_p90_s']:.2f} s | {each['answered']:.0%} | {each['load']:.1f} |"
        )
    state = next((each["predictor"] for each in rows if each.get("predictor")), None)
    if state:
        ttft, tpot = state["ttftMeanAbsolutePercentageError"], state["tpotMeanAbsolutePercentageError"]
        lines.append(
            f"\nThe predictor's own account of its last hundred requests: {ttft:.1f} % off for the first token "
            f"({state['ttftSamples']} seen), {tpot:.1f} % per token ({state['tpotSamples']} seen)."
        )
    return "\n".join(lines)


def page(record, description, machine):
    quick = "**Quick run: a look, not a record.** " if record["quick"] else ""
    return (
        f"# routing\n\n{quick}{description}\n\n"
        f"![time to first token by request rate](routing.svg)\n\n"
        f"## Published findings\n\n{verdict_table(record['verdicts'])}\n\n{NOTE}\n\n"
        f"## The ladder as a whole\n\n{summary_table(record['ladder'])}\n\n"
        f"## Ladder\n\n{table(record['ladder'])}\n\n"
        f"## Prefix only\n\n{table(record['prefix_only'])}\n\n"
        f"## Over the wire, in real time\n\n{wire_table(record['wire'])}\n\n{machine}.\n"
    )
