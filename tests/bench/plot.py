"""A line of the table as an SVG picture: a bar for each contender's median, with its least and its most."""

import textwrap
from html import escape

from tests.bench.line import readable

WIDTH, LEFT, RIGHT, BAR, GAP, TITLE_LINE = 720, 150, 110, 26, 14, 18
OURS, THEIRS = "#2a6f97", "#a9b4bd"
STYLE = "font-family='sans-serif' font-size='13' fill='#222'"


def svg(line):
    names = [line.ours, *(name for name in line.samples if name != line.ours)]
    scale = (WIDTH - LEFT - RIGHT) / (max(line.spread(name)[2] for name in names) or 1)
    title = textwrap.wrap(f"{line.title} ({line.unit}); to reach: {line.target}", 95)
    top = (len(title) + 1) * TITLE_LINE
    height = top + len(names) * (BAR + GAP)
    titles = "".join(f"<text x='8' y='{TITLE_LINE * (number + 1)}' {STYLE}>{escape(text)}</text>\n"
                     for number, text in enumerate(title))
    bars = "".join(_bar(line, name, top + number * (BAR + GAP), scale) for number, name in enumerate(names))
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}'"
            f" viewBox='0 0 {WIDTH} {height}'>\n<rect width='100%' height='100%' fill='white'/>\n"
            f"{titles}{bars}</svg>\n")


def _bar(line, name, y, scale):
    least, median, most = line.spread(name)
    middle, colour = y + BAR / 2, OURS if name == line.ours else THEIRS
    start, end = LEFT + least * scale, LEFT + most * scale
    return (f"<text x='{LEFT - 8}' y='{middle + 5}' text-anchor='end' {STYLE}>{escape(name)}</text>\n"
            f"<rect x='{LEFT}' y='{y}' width='{median * scale:.1f}' height='{BAR}' fill='{colour}'/>\n"
            f"<path d='M{start:.1f} {middle}H{end:.1f}M{start:.1f} {middle - 5}v10M{end:.1f} {middle - 5}v10'"
            f" stroke='#222' fill='none'/>\n"
            f"<text x='{end + 8:.1f}' y='{middle + 5}' {STYLE}>{readable(median)}</text>\n")
