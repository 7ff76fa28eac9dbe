"""docs/seeds.md is what the benchmarks of the seed systems wrote, and its table says what does not hold."""

from benchmarks.seed_systems import frequency_attention
from benchmarks.seed_systems.page import ORDER, PAGE, make_page, table
from benchmarks.seed_systems.rows import RESULTS, Claim, Section, read_section, write_section


def test_the_page_of_the_seed_systems_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == make_page()


def test_every_file_of_results_is_on_the_page():
    assert {path.stem for path in RESULTS.glob("*.json")} <= set(ORDER)


def test_a_section_is_read_as_it_was_written(tmp_path):
    section = Section("Title", "Text.", [Claim("a", "1", "2", "at most 1", False), Claim("b", "", "3", "", None)])
    read, made = read_section(write_section("limaml", section, [1, 2], tmp_path))
    assert read == section
    assert made["seeds"] == [1, 2]
    assert {"commit", "versions", "machine"} <= made.keys()


def test_a_bound_that_is_missed_is_said():
    assert table([Claim("a", "1", "2", "at most 1", False)]).splitlines()[-1] == "| a | 1 | 2 | at most 1 | **no** |"


def test_measuring_one_part_of_frequency_attention_keeps_the_claims_of_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(frequency_attention, "RESULTS", tmp_path)
    figures = {"exactness": "1", "speed": "2"}
    parts = {part: lambda _, part=part: [Claim("it", "", figures[part], "", None)] for part in figures}
    monkeypatch.setattr(frequency_attention, "PARTS", parts)
    frequency_attention.main([])
    figures.update(exactness="3", speed="4")
    frequency_attention.main(["--parts", "speed"])
    claims = read_section(tmp_path / "frequency_attention.json")[0].claims
    assert [(each.says, each.ours) for each in claims] == [("exactness: it", "1"), ("speed: it", "4")]


def test_a_bar_in_a_cell_ends_no_column():
    assert table([Claim("|x|", "", "2", "", None)]).splitlines()[-1] == r"| \|x\| |  | 2 |  |  |"
