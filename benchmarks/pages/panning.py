"""How large the page of an hour is, how long it takes to open, and how many frames a second it draws while panned.

100,000 rows at 28 fps: eight probabilities, valence, arousal with its standard deviation, noise on all of them, gaps,
and the sound's envelope. Debian's chromium draws it without a GPU, 1,400 x 950 pixels; the rates are those of the
frames that it drew by its own trace. Writes results/pages/panning.json. On a busy machine it ends with exit code 2.
Takes about 30 s.

    python -m benchmarks.pages.panning [--busy]
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from abaw.files import write_json
from abaw.results.runs import commit, versions
from abaw.views.page.content import Envelope
from abaw.views.page.writing import write_page
from benchmarks.machine.load import QuietMachine, add_busy, describe_machine
from tests.browser.conftest import find_browser
from tests.support.views.timelines import write_analysis

NUM_ROWS, FPS, NUM_PANS = 100_000, 28, 150
SHARES = {"three quarters of the hour": 0.75, "8 minutes": 0.125, "1 minute": 1 / 60}
CATEGORIES = ["devtools.timeline.frame", "disabled-by-default-devtools.timeline.frame"]
# pans by a two hundredth of the view in every frame
PAN = f"""(share) => new Promise((resolve) => {{
  const {{ charts }} = abaw;
  const [first, last] = charts.data.span;
  const width = share * (last - first);
  let start = first;
  let num = 0;
  const times = [];
  const pan = (time) => {{
    times.push(time);
    if (num++ === {NUM_PANS}) return resolve(times);
    start = Math.min(start + width / 200, last - width);
    charts.show(start, start + width);
    requestAnimationFrame(pan);
  }};
  charts.show(start, start + width);
  setTimeout(() => requestAnimationFrame(pan), 500);
}})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_busy(parser)
    options = parser.parse_args()
    machine = QuietMachine(busy=options.busy)
    with tempfile.TemporaryDirectory() as folder:
        page = make_page(Path(folder))
        figures = {"bytes": page.stat().st_size, **measure(page, machine)}
    result = {"machine": describe_machine(), "load": machine.record, "commit": commit(), "versions": versions()}
    out = Path(__file__).parents[1] / "results/pages/panning.json"
    out.parent.mkdir(exist_ok=True)
    write_json(out, {**result, **figures})
    print(json.dumps(figures, indent=2))


def make_page(folder: Path) -> Path:
    random = np.random.default_rng(0)
    gaps = [row for start in range(5000, NUM_ROWS, 20_000) for row in range(start, start + 300)]
    timeline = write_analysis(folder, "hour", np.arange(NUM_ROWS) / FPS, hidden=gaps, noise=0.03)
    peaks = np.abs(random.normal(size=NUM_ROWS // FPS * 16)).clip(0, 4) / 4
    write_page(timeline, folder / "hour.html", envelope=Envelope(0.0, 1 / 16, peaks))
    return folder / "hour.html"


def measure(path: Path, machine: QuietMachine) -> dict[str, Any]:
    """Seconds to open the page, and for each share of the hour in view frames per second and milliseconds a frame."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 950})
        with machine:  # while the browser runs: the times of its processes that have ended are nobody's
            begun = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector("body[data-ready]")
            found: dict[str, Any] = {"seconds_to_open": round(time.perf_counter() - begun, 2), "panning": {}}
            for name, share in SHARES.items():
                browser.start_tracing(page=page, categories=CATEGORIES)
                times_ms = page.evaluate(PAN, share)
                events = json.loads(browser.stop_tracing())["traceEvents"]
                found["panning"][name] = summarize(times_ms, events)
        browser.close()
    return found


def summarize(times_ms: list[float], events: list[dict[str, Any]]) -> dict[str, float]:
    """``events``: of the browser's trace, which also has the frames drawn before and after panning."""
    drawn_ms = sorted(event["ts"] / 1000 for event in events if event["name"] == "DrawFrame")
    panned_ms = times_ms[-1] - times_ms[0]
    last_ms = drawn_ms[-1]
    steps_ms = np.diff([each for each in drawn_ms if each >= last_ms - panned_ms])
    return {
        "frames_per_s": round(1000 * len(steps_ms) / sum(steps_ms), 1),
        "median_ms": round(statistics.median(steps_ms), 1),
        "percentile_95_ms": round(float(np.percentile(steps_ms, 95)), 1),
    }


if __name__ == "__main__":
    main()
