"""HTML pages as tests read them: elements, anchors, and what an attack would add."""

from html.parser import HTMLParser

EMPTY = ("meta", "link", "br", "img", "input", "hr", "path", "use", "image")


class Page(HTMLParser):
    """``tags``: how often each element occurs; ``ids`` and ``links`` (to anchors), in order; ``text``: all of it.

    ``figures``: of each svg its role, and the text of the elements that name and describe it.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.texts, self.open = {}, [], [], {}, []
        self.figures, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and given.get("href", "").startswith("#"):
            self.links.append(given["href"][1:])
        if tag == "svg":
            self.figures.append(given)
        if tag not in EMPTY:
            self.open.append((tag, given.get("id")))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if not any(tag in ("style", "script") for tag, _ in self.open):
            self.text += data
        for _, name in self.open:
            if name:
                self.texts[name] = self.texts.get(name, "") + data

    def nameless_figures(self):
        """The svg elements that no text names and describes."""
        return [
            each
            for each in self.figures
            if each.get("role") != "img"
            or not self.texts.get(each.get("aria-labelledby", ""), "").strip()
            or not self.texts.get(each.get("aria-describedby", ""), "").strip()
        ]
