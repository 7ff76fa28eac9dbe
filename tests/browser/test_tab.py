"""The recorder of requests and errors that the other tests in this folder rely on."""


def test_a_tab_records_errors_and_requests_that_leave_the_machine(tab, tmp_path):
    path = tmp_path / "page.html"
    path.write_text('<p id="x">text</p><img src="http://192.0.2.1/a.png"><script>console.error("planted")</script>')
    page = tab.open(path)
    assert page.text_content("#x") == "text"
    assert tab.foreign_requests() == ["http://192.0.2.1/a.png"]
    assert "planted" in tab.errors
