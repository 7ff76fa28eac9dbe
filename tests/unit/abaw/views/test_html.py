"""What is put into a page cannot end the element it stands in, and comes back as it was."""

import base64
import gzip
import json

import pytest

from abaw.views.html import as_json, as_packed, asset, bokeh_script, render

HOSTILE = ["</script><script>alert(1)</script>", "<!--", "a\"b'c", "line\nbreak", "=1+1", "&amp;", "\u2028"]


@pytest.mark.parametrize("text", HOSTILE)
def test_json_in_a_script_element_holds_no_markup_and_reads_back(text):
    written = str(as_json({"name": text}))
    assert not set("<>&\u2028\n") & set(written)
    assert json.loads(written) == {"name": text}


def test_values_that_are_not_json_are_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json(float("nan"))


def test_packed_bytes_are_the_same_in_every_page_and_read_back():
    written = as_packed(b"abc" * 1000)
    assert gzip.decompress(base64.b64decode(written)) == b"abc" * 1000
    assert written == as_packed(b"abc" * 1000)


def test_a_template_escapes_what_it_is_given():
    written = render("skeleton/base.html", {"title": HOSTILE[0]})
    assert "<title>&lt;/script&gt;" in written
    assert "alert(1)</script>" not in written
    assert "default-src 'none'" in written


def test_style_sheets_and_the_charts_of_the_installed_library_are_found():
    assert "prefers-color-scheme" in asset("skeleton/base.css")
    assert b"Bokeh" in bokeh_script()[:2000]
