"""Medians, spread and targets: from runs to a table and a record."""

import json
import statistics
from dataclasses import asdict, dataclass, field

import machine


@dataclass
class Figure:
    """One row: our runs, the peer's runs of the same rounds, and what the ratio or the value must be."""

    name: str
    unit: str
    ours: list
    peer: list = field(default_factory=list)
    peer_name: str = ""
    at_least: float | None = None  # of ours / peer
    at_most: float | None = None  # of ours / peer, or of ours where there is no peer
    note: str = ""

    @property
    def value(self):
        ours = statistics.median(self.ours)
        return ours / statistics.median(self.peer) if self.peer else ours

    @property
    def met(self):
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.at_most is None or self.value <= self.at_most

    @property
    def target(self):
        unit = "×" if self.peer else f" {self.unit}"
        if self.at_least is not None:
            return f"≥ {self.at_least:g}{unit}"
        return f"≤ {self.at_most:g}{unit}" if self.at_most is not None else "–"


def shown(runs):
    """The median, and how far the runs lie apart."""
    if not runs:
        return "–"
    return f"{number(statistics.median(runs))} ({number(min(runs))} … {number(max(runs))})"


def number(value):
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def table(figures):
    rows = ["| What | Unit | llmd | Peer | Ratio | Target | |", "|---|---|---|---|---|---|---|"]
    for each in figures:
        peer = f"{shown(each.peer)} {each.peer_name}" if each.peer else "–"
        ratio = f"{each.value:.2f}×" if each.peer else "–"
        verdict = "" if each.target == "–" else "met" if each.met else "**missed**"
        rows.append(f"| {each.name} | {each.unit} | {shown(each.ours)} | {peer} | {ratio} | {each.target} | {verdict} |")
    return "\n".join(rows)


def machine_line(described):
    return (
        f"{described['cpu']}, {described['cores']} cores, {described['memory_gib']} GiB, {described['system']}, "
        f"Linux {described['kernel']}, {described['date']}, load before {described['load_before']:.2f}, "
        f"commit {described['commit']}"
    )


def write(plan, scenario, figures, details):
    described = machine.describe(plan.root)
    runs = f"{plan.rounds} interleaved runs of {plan.seconds} s; median (lowest … highest)"
    notes = "\n".join(f"* {each.name}: {each.note}" for each in figures if each.note)
    text = (
        f"# {scenario}\n\n{'**Quick run: a look, not a record.** ' if plan.quick else ''}{runs}.\n\n"
        f"{table(figures)}\n\n{notes}\n\n"
        f"{machine_line(described)}; {', '.join(f'{key} {value}' for key, value in details.items())}.\n"
    )
    plan.out.mkdir(parents=True, exist_ok=True)
    record = {
        "scenario": scenario,
        "quick": plan.quick,
        "machine": described,
        "details": details,
        "figures": [asdict(each) | {"median_or_ratio": each.value, "met": each.met} for each in figures],
    }
    (plan.out / f"{scenario}.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    (plan.out / f"{scenario}.md").write_text(text)
    print(table(figures), flush=True)
