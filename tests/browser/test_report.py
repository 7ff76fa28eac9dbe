"""The report of two runs in a real browser, without any script."""

import abaw
from tests.support.abaw.reported_runs import write_reported_runs

FIGURES = """() => [...document.querySelectorAll("svg")].map((svg) => {
  const words = (name) => document.getElementById(svg.getAttribute(name))?.textContent.trim() ?? "";
  const box = svg.getBoundingClientRect();
  const ground = getComputedStyle(svg.parentElement).backgroundColor;
  return { named: words("aria-labelledby") !== "", described: words("aria-describedby") !== "",
           ground, fits: box.width > 100 && box.right <= document.documentElement.clientWidth };
})"""
BROKEN_LINKS = """() => [...document.querySelectorAll("a")]
  .filter((a) => !a.hash || !document.getElementById(decodeURIComponent(a.hash.slice(1)))).map((a) => a.outerHTML)"""
UNNAMED = """() => [...document.querySelectorAll("table, figure, [role=region]")]
  .filter((e) => !(e.querySelector("caption, figcaption") || e.getAttribute("aria-label"))).length"""


def test_a_report_asks_for_nothing_and_is_readable_in_light_dark_and_print(tab, tmp_path):
    out = tmp_path / "report.html"
    abaw.report(write_reported_runs(tmp_path), out, worst=1, draws=100)
    page = tab.open(out)
    figures = page.evaluate(FIGURES)
    assert len(figures) == 10
    assert all(each["named"] and each["described"] and each["fits"] for each in figures)
    assert page.evaluate(UNNAMED) == 0
    assert page.evaluate(BROKEN_LINKS) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#summary"

    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
    assert {each["ground"] for each in page.evaluate(FIGURES)} == {"rgb(255, 255, 255)"}
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(
        "[...document.querySelectorAll('details pre')].every((e) => e.getBoundingClientRect().height > 0)"
    )

    assert tab.requests == [out.as_uri()]
    assert tab.errors == []
