"""YAML: read as version 1.2, with lines, as plain data of bounded size."""

from pathlib import Path

import pytest

from abaw.errors import InputError
from abaw.files.yaml import MAX_BYTES, MAX_DEPTH, dump_yaml, parse_yaml, read_yaml

FILE = Path("x.yaml")


def value(text):
    return parse_yaml(text, FILE).values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-1e-05", -1e-05),
        (".5", 0.5),
        ("017", 17),
        ("0o17", 15),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", float("inf")),
        *(
            (text, text)
            for text in ("0:59", "12:30:45", "1:2", "no", "yes", "on", "off", "y", "2020-01-01", "=", "0x1g")
        ),
        ("'1e-3'", "1e-3"),
        ("log:1e-5:1e-1", "log:1e-5:1e-1"),
    ],
)
def test_values_are_read_as_yaml_1_2_has_them(text, expected):
    for found in (value(text), value(f"[{text or '~'}]")[0], (value(f"a: {text}") or {})["a"]):
        assert (found, type(found)) == (expected, type(expected))


def test_every_key_and_item_has_its_line():
    lines = parse_yaml("# remark\na: 1\nb:\n  c: {d: 2,\n    e: 3}\n  f:\n  - 4\n  - g: 5\n", FILE).lines
    assert lines == {
        (): 1, ("a",): 2, ("b",): 3, ("b", "c"): 4, ("b", "c", "d"): 4, ("b", "c", "e"): 5, ("b", "f"): 6,
        ("b", "f", "0"): 7, ("b", "f", "1"): 8, ("b", "f", "1", "g"): 8,
    }  # fmt: skip


REFUSED = {
    "a: 1\nb: 2\na: 3\n": "x.yaml:3: a is given twice, first on line 1: remove one of them",
    "a: [{b: 1,\n  b: 1}]\n": "x.yaml:2: a.0.b is given twice, first on line 1: remove one",
    "a: &x {b: 1}\nc: *x\nb: {d: 1, 'd': 2}\n": "x.yaml:3: b.d is given twice",
    "a: [": "x.yaml:1: not readable as YAML: while parsing a flow node, expected the node content",
    "a: 1\nb: c: d\n": "x.yaml:2: not readable as YAML: mapping values are not allowed here",
    "{a:{}}": "but got '{': a colon needs a space after it",
    "a: 1\n---\nb: 2\n": "x.yaml:2: not readable as YAML: expected a single document",
    "a: \x01": "x.yaml: not readable as YAML: unacceptable character",
    "a: *b": "x.yaml:1: not readable as YAML: found undefined alias 'b'",
    "a: 1\nb: !!python/name:os.system x": "x.yaml:2: the tag !!python/name:os.system is not allowed",
    "!!python/object/apply:os.getcwd []": "x.yaml:1: the tag !!python/object/apply:os.getcwd is not allowed",
    "!!python/name:os.system a: 1": "x.yaml:1: not readable as YAML: could not determine a constructor",
    "a: !mine 1": "x.yaml:1: the tag !mine is not allowed, expected a plain value: remove the tag",
    "a: !!binary aGk=": "the tag !!binary is not allowed",
    "a: !!int word": "x.yaml: not readable as YAML: invalid literal for int",
    "a: " + "9" * 5000: "x.yaml: not readable as YAML: Exceeds the limit",
    "# remark\n%YAML 1.1\n---\na: yes\n": "x.yaml: remove the line that begins with %YAML: files are read as YAML 1.2",
    "? [1, 2]\n: 3\n": "x.yaml:1: a key is a list or a mapping, expected text",
    "<<: 3": "x.yaml:1: not readable as YAML: while constructing a mapping, expected a mapping or list",
    "&a [*a]": f"x.yaml: nested too deeply, expected at most {MAX_DEPTH} levels",
    "[" * 5000: "x.yaml: nested too deeply",
    "[" * (MAX_DEPTH + 1) + "1" + "]" * (MAX_DEPTH + 1): "x.yaml: nested too deeply",
    "a0: &a0 [x, x]\n" + "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(9)): (
        "more than 100000 values, aliases written out: give fewer"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_line(text):
    with pytest.raises(InputError) as error:
        value(text)
    assert REFUSED[text] in str(error.value)


def test_what_lies_within_the_bounds_is_read():
    text = "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH
    assert str(value(text)) == text


def test_a_text_of_one_line_is_named_without_a_line():
    with pytest.raises(InputError, match="^--vary: not readable as YAML: "):
        parse_yaml("[", "--vary")


def test_aliases_share_nothing_and_merged_keys_are_read():
    found = value("a: &a {b: [1]}\nc: *a\nd: {<<: *a, e: 2}\n")
    found["a"]["b"].append(2)
    assert found == {"a": {"b": [1, 2]}, "c": {"b": [1]}, "d": {"b": [1], "e": 2}}


def test_a_file_is_read_without_its_byte_order_mark_and_with_windows_line_ends(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(tmp_path / "x.yaml").lines == {(): 1, ("a",): 1, ("b",): 2}


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(InputError, match=f"x.yaml: {MAX_BYTES + 1} bytes, expected a YAML file of at most {MAX_BYTES}"):
        read_yaml(path)
    path.write_text("#" * MAX_BYTES)
    assert read_yaml(path).values is None
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(InputError, match=r"x.yaml:1: not a text file in UTF-8 .*at byte 3\): save it as UTF-8"):
        read_yaml(path)


@pytest.mark.parametrize(
    "values",
    [
        {"b": 1e-05, "a": [1, {"x": None}], "c": {}, "d": [], "h": True, "j": "ü", "k": "a: b", "m": "", "n": "x\ny"},
        {"words": ["1", "1e-3", "0:59", "no", "null", "~", " lead", "-", "2020-01-01", "=", "#", "word " * 50]},
    ],
)
def test_what_is_written_is_read_as_it_was(values):
    text = dump_yaml(values)
    assert value(text) == values
    assert list(value(text)) == list(values)  # in its order
    assert max(map(len, text.splitlines())) > 200 or "words" not in values  # no line is folded
