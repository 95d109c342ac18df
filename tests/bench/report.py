# SPDX-License-Identifier: MIT
"""The results in words, as Markdown, and as a picture."""
import shutil
import subprocess

import peers
from measures import MEASURES
from results import middle

BEGIN = "<!-- begin: written by make bench-doc -->"
END = "<!-- end: written by make bench-doc -->"


def number(value):
    if value is None:
        return "–"
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.01 else f"{value:.2f}"


def spread(values, digits=2):
    """The median, and from where to where the rounds went."""
    if not values:
        return "–"
    text = f"{middle(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def measured_peers(results):
    return [p for p in peers.ALL if any(p.key in one for one in results.rounds)]


def absolute_table(results):
    shown = measured_peers(results)
    lines = ["| median of the rounds | " + " | ".join(p.title for p in shown) + " |", "|---|" + "--:|" * len(shown)]
    for m in MEASURES:
        cells = [number(middle(results.values(p.key, m.key))) for p in shown]
        if any(c != "–" for c in cells):
            lines.append(f"| {m.title}{', ' + m.unit if m.unit else ''} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratio_table(results):
    shown = [p for p in measured_peers(results) if p not in peers.BARE]
    lines = ["| times the faster bare loop | " + " | ".join(p.title for p in shown) + " |", "|---|" + "--:|" * len(shown)]
    for m in MEASURES:
        cells = [spread(results.ratios(p.key, m.key)) for p in shown]
        if m.compared and not m.against and any(c != "–" for c in cells):
            lines.append(f"| {m.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdict(holds):
    return "met" if holds else "**missed**"


def goals_of(results, m):
    """(goal in words, what was reached, does it hold) for each goal of the measure that has figures."""
    for limit, which, word in ((m.ratio, "median", ""), (m.p99, "p99", ", 99th percentile")):
        ratios = results.ratios("supd", m.key, which, m.against) if limit is not None else []
        if ratios:
            yield m.title + word, f"≤ {limit:g} ×", f"{spread(ratios)} ×", middle(ratios) <= limit
    value = middle(results.values("supd", m.key))
    if value is None:
        return
    if m.most is not None:
        yield m.title, f"≤ {m.most:g} {m.unit}".rstrip(), f"{number(value)} {m.unit}".rstrip(), value <= m.most
    if m.least is not None:
        yield m.title, f"{m.least:g}", number(value), value >= m.least


def goal_table(results):
    lines = ["| supd | goal | reached | |", "|---|--:|--:|---|"]
    for m in MEASURES:
        for title, goal, reached, holds in goals_of(results, m):
            lines.append(f"| {title} | {goal} | {reached} | {verdict(holds)} |")
    return "\n".join(lines)


def text(results, plot=None):
    about = results.about
    parts = [
        f"Measured on {about['date']}, Linux {about['kernel']}, {about['processors']} processors ({about['model']}), "
        f"{len(results.rounds)} rounds, load before {about['load']}; by `{about['command']}`.",
        "### The goals\n\n" + goal_table(results),
        "### Beside others\n\n" + ratio_table(results),
    ]
    if plot:
        parts.append(f"![times the faster bare loop]({plot})")
    parts.append("### Figures\n\n" + absolute_table(results))
    parts.append("### How each was set\n\n" + "\n".join(f"* {p.title}: {p.setting}." for p in measured_peers(results)))
    if about.get("missing"):
        parts.append("Not measured: " + "; ".join(f"{name} ({why})" for name, why in about["missing"].items()) + ".")
    return "\n\n".join(parts)


def plotted(results):
    return [m for m in MEASURES if m.compared and not m.against and results.ratios("supd", m.key)]


def draw(results, path):
    """Writes PATH, an SVG; False where there is no gnuplot."""
    if not shutil.which("gnuplot"):
        return False
    shown = [p for p in measured_peers(results) if p not in peers.BARE]
    rows = []
    for m in plotted(results):
        ratios = (middle(results.ratios(p.key, m.key)) for p in shown)
        rows.append(f'"{m.title}" ' + " ".join(f"{r:.3f}" if r else "NaN" for r in ratios))
    columns = ", ".join(f'$data using {i + 2}:xtic(1) title "{p.title}"' for i, p in enumerate(shown))
    script = f"""set terminal svg size 1000,560 dynamic font "sans,13" background rgb "white"
set output "{path}"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.85 border -1
set logscale y
set yrange [0.5:*]
set ylabel "times the faster bare loop (logarithmic)"
set xtics rotate by -25 left
set grid ytics
set key top left
set rmargin 18
$data << EOD
{chr(10).join(rows)}
EOD
plot 1 with lines lc rgb "black" dt 2 title "bare loop", {columns}
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
    return True


def write_into(path, body, begin=BEGIN, end=END):
    """Puts BODY between the marks of a document."""
    with open(path, encoding="utf-8") as file:
        before, rest = file.read().split(begin)
    after = rest.split(end)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n\n{body}\n\n{end}{after}")
