"""The search for similar moments as a command, on a store of any features."""

import json

from tests.support.abaw.commands import abaw
from tests.support.stores import make_store


def test_moments_are_printed_as_text_csv_or_json_and_bad_input_ends_with_code_2(tmp_path):
    make_store(tmp_path / "store", ("a", "b", "c"))
    given = ("similar", "a@0.2", "--store", "store", "--features", "hog")
    lines = abaw(*given, "--csv", cwd=tmp_path).stdout.splitlines()
    assert lines[0] == "rank,clip,time_s,frame,similarity"
    assert lines[1].startswith("1,b,0.200000,3,1.0000")  # the tracks of all clips are the same
    found = json.loads(abaw(*given, "--json", "--num", 1, cwd=tmp_path).stdout)
    assert [each["clip"] for each in found["moments"]] == ["b"]
    both = abaw(*given, "--csv", "--json", cwd=tmp_path, code=2)
    assert "give one of them" in both.stderr
    unobserved = abaw("similar", "a@0.3", "--store", "store", "--features", "hog", cwd=tmp_path, code=2)
    assert "nothing was observed in the clip 'a' at 0.300 s" in unobserved.stderr
    assert "choose a moment near it that is: 0.200 s or 0.400 s" in unobserved.stderr
