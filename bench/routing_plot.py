"""The ladder as a picture: mean time to first token over the request rate, one line per policy; logarithmic upwards."""

import math

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 360, 70, 50, 20, 130
COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#7d3c98", "#b9770e")
LEAST, MOST = 0.05, 200.0  # seconds


def draw(rows):
    rates = sorted({each["rate"] for each in rows})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for seconds in (0.1, 1, 10, 100):
        y = upwards(seconds)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{seconds:g} s</text>')
    for rate in rates:
        x = across(rate, rates[-1])
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{rate:g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">requests per second</text>')
    for number, policy in enumerate(dict.fromkeys(each["policy"] for each in rows)):
        colour = COLOURS[number % len(COLOURS)]
        points = [(across(each["rate"], rates[-1]), upwards(each["ttft_mean_s"])) for each in rows if each["policy"] == policy]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        x, y = points[-1]
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{colour}">{policy}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def across(rate, most):
    return LEFT + (WIDTH - LEFT - RIGHT) * rate / most


def upwards(seconds):
    share = math.log(min(max(seconds, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
