"""The table of the benchmark of fitting on few videos, and that its page is that of the results."""

from abaw.files import read_json
from benchmarks.fitted.fitting import summarize, table
from tests.support.house import ROOT

RESULTS = ROOT / "benchmarks/results/fitted"


def row(promised, true):
    others = dict.fromkeys(["promised before", "true before", "nested", "as chosen", "error"], 0.5)
    return {**others, "promised": promised, "true": true, "kept": float(promised > 0)}


def test_a_row_has_means_and_the_standard_error_of_promise_minus_truth():
    found = table({("weights", "much to gain", "va", 8): summarize([row(0.3, 0.1), row(0.0, 0.0)])})
    cells = [cell.strip() for cell in found.splitlines()[-1].strip("|").split("|")]
    assert cells[:5] == ["weights", "much to gain", "va", "8", "2"]
    assert cells[9:] == ["+0.1500", "+0.0500", "+0.1000 ± 0.1000", "0.5000", "50%"]


def test_the_page_is_the_table_of_the_results():
    rows = {tuple(job.split(" / ")): each for job, each in read_json(RESULTS / "fitting.json")["rows"].items()}
    assert (RESULTS / "fitting.md").read_text().endswith(f"\n\n{table(rows)}\n")
