"""The ladder as a picture: mean time to first token over the request rate, one line per policy; logarithmic upwards."""

import math
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 420, 70, 50, 20, 220
COLOURS = ("#c0392b", "#b9770e", "#7f8c8d", "#7d3c98", "#2471a3", "#d35d9a", "#1e8449")
LEAST, MOST = 0.03, 100.0  # seconds
LINE_HEIGHT = 16  # between neighbouring names


def draw(rows):
    rates = sorted({each["rate"] for each in rows})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        "<title>Mean time to first token by requests per second</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *grid(rates),
    ]
    policies = list(dict.fromkeys(each["policy"] for each in rows))
    ends = {}
    for policy, colour in zip(policies, COLOURS, strict=False):
        points = [(across(each["rate"], rates[-1]), upwards(each["ttft_mean_s"])) for each in rows if each["policy"] == policy]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        ends[policy] = (points[-1][1], colour)
    return "\n".join([*parts, *names(ends), "</svg>"]) + "\n"


def grid(rates):
    for seconds in (0.03, 0.1, 0.3, 1, 3, 10, 30, 100):
        y = upwards(seconds)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{seconds:g} s</text>'
    for rate in rates:
        yield f'<text x="{across(rate, rates[-1]):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{rate:g}</text>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">requests per second</text>'


def names(ends):
    """Beside the ends of their lines, from the top down, moved apart where lines end together."""
    least = 0
    for policy, (y, colour) in sorted(ends.items(), key=lambda end: end[1][0]):
        least = max(y, least)
        yield f'<text x="{WIDTH - RIGHT + 12}" y="{least + 4:.1f}" fill="{colour}">{escape(policy)}</text>'
        least += LINE_HEIGHT


def across(rate, most):
    return LEFT + (WIDTH - LEFT - RIGHT) * rate / most


def upwards(seconds):
    share = math.log(min(max(seconds, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
