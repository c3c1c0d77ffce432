#!/usr/bin/env python3
"""Draws the samples of long.sh: what the daemon holds, over time. Usage: plot.py SAMPLES.csv TITLE >long-run.svg"""

import csv
import html
import sys

WIDTH, LEFT, RIGHT, TOP, HEIGHT, GAP = 840, 70, 20, 60, 130, 46
# Column of the samples, what it is, and how many of its unit are one of the axis.
PANELS = [(1, "resident memory, MiB", 1024), (2, "open descriptors", 1), (3, "state folder, MiB", 1024), (4, "events delivered, thousands", 1000)]
# The picture has a background of its own, so it can be read on any page.
STYLE = """
.page { fill: #ffffff } text { fill: #24292f; font: 13px system-ui, sans-serif } .title { font-size: 15px; font-weight: 600 }
.grid { stroke: #d0d7de } .samples { stroke: #0969da; fill: none; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 } text { fill: #c9d1d9 } .grid { stroke: #30363d } .samples { stroke: #58a6ff }
}
"""


def step(most, lines):
    """The round number of which about so many make up `most`."""
    power = 1
    while power * 10 * lines <= most:
        power *= 10
    return next((power * n for n in (1, 2, 5, 10) if power * n * lines >= most), power * 10)


def text(x, y, what, anchor="start", style=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{style}>{html.escape(what)}</text>'


def line(x1, y1, x2, y2):
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def panel(samples, top, column, what, unit):
    values = [sample[column] / unit for sample in samples]
    end, tick = samples[-1][0], step(max(values), 4)
    most = tick * -(-max(values) // tick)
    x = lambda second: LEFT + (WIDTH - LEFT - RIGHT) * second / end
    y = lambda value: top + HEIGHT * (1 - value / most)
    yield text(LEFT, top - 8, what)
    for n in range(int(most / tick) + 1):
        yield line(LEFT, y(n * tick), WIDTH - RIGHT, y(n * tick))
        yield text(LEFT - 8, y(n * tick) + 4, f"{n * tick:,}", "end")
    minutes = step(end / 60, 10)
    for minute in range(0, int(end / 60) + 1, minutes):
        yield line(x(minute * 60), top + HEIGHT, x(minute * 60), top + HEIGHT + 4)
        yield text(x(minute * 60), top + HEIGHT + 18, f"{minute} min", "middle")
    points = " ".join(f"{x(sample[0]):.1f},{y(value):.1f}" for sample, value in zip(samples, values))
    yield f'<polyline class="samples" points="{points}"/>'


def main():
    with open(sys.argv[1], encoding="ascii") as file:
        samples = [[int(value) for value in row] for row in list(csv.reader(file))[1:]]
    # As many as there are points to see.
    samples = samples[:: max(1, len(samples) // 800)]
    height = TOP + len(PANELS) * (HEIGHT + GAP)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">')
    print(f"<title>{html.escape(sys.argv[2])}</title><style>{STYLE}</style>")
    print(f'<rect class="page" width="{WIDTH}" height="{height}"/>')
    print(text(LEFT, 24, sys.argv[2], style=' class="title"'))
    for n, (column, what, unit) in enumerate(PANELS):
        print("\n".join(panel(samples, TOP + n * (HEIGHT + GAP), column, what, unit)))
    print("</svg>")


main()
