"""Plots a response of POST /v1/comparisons: the variance of the sum after each block, on a logarithmic scale.

draw_signals.py COMPARISON.json PICTURE.svg NAME...   with a name for each spec, in order
"""

import json
import math
import sys
from html import escape
from pathlib import Path

source, picture, *names = sys.argv[1:]
networks = json.loads(Path(source).read_text())["results"]
if len(names) != len(networks):
    sys.exit(f"{len(networks)} networks were compared; give one name for each")

COLORS = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"]
LEFT, RIGHT, TOP, BOTTOM = 60, 500, 20, 300
# The input comes first: the verdict compares the last block with it.
curves = [[n["input_variance"], *(block["activation"]["variance"] for block in n["blocks"])] for n in networks]
# Infinity and NaN are strings, and are not plotted.
curves = [[v if isinstance(v, float) and v > 0 else None for v in curve] for curve in curves]
powers = [math.log10(v) for curve in curves for v in curve if v is not None]
low, high = math.floor(min(powers)), math.ceil(max(powers))
steps = max(map(len, curves)) - 1


def x(step):
    return LEFT + (RIGHT - LEFT) * step / steps


def y(power):
    return BOTTOM - (BOTTOM - TOP) * (power - low) / max(1, high - low)


def text(left, top, words, anchor="start"):
    return f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def line(top, dashes):
    return f'<path d="M{LEFT} {top:.1f}H{RIGHT}" stroke="#bbb" stroke-dasharray="{dashes}"/>'


parts = []
for power in range(low, high + 1, max(1, (high - low) // 8)):
    parts += [line(y(power), "none"), text(LEFT - 8, y(power) + 4, f"1e{power}", "end")]
for limit in (30, 1 / 30):
    level = math.log10(limit * networks[0]["input_variance"])
    if low < level < high:
        parts += [line(y(level), "6 4"), text(RIGHT + 8, y(level) + 4, f"{'30' if limit > 1 else '1/30'} times the input's")]
parts += [text(x(step), BOTTOM + 18, str(step) if step else "input", "middle") for step in range(steps + 1)]
parts.append(text((LEFT + RIGHT) / 2, BOTTOM + 38, "variance of the sum after each block", "middle"))
for place, (name, network, curve, color) in enumerate(zip(names, networks, curves, COLORS)):
    print(f"{name}: {network['verdict']}; {network['reason']}")
    points = " ".join(f"{x(i):.1f},{y(math.log10(v)):.1f}" for i, v in enumerate(curve) if v is not None)
    parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
    top = BOTTOM + 66 + 20 * place
    parts.append(f'<path d="M{LEFT} {top - 4}h24" stroke="{color}" stroke-width="2"/>')
    parts.append(text(LEFT + 34, top, f"{name}: {network['verdict']}"))

height = BOTTOM + 66 + 20 * len(networks)
Path(picture).write_text(
    f'<svg xmlns="http://www.w3.org/2000/svg" width="660" height="{height}" font-family="sans-serif" font-size="12">'
    f'<rect width="660" height="{height}" fill="#fff"/>{"".join(parts)}</svg>\n'
)
