"""The HTML that shows how an analysis ended. Every text in it is escaped."""

from urllib.parse import quote

from jinja2 import Environment

from abaw.app.workers import Answer
from abaw.pipelines.viewing.writing import VIEWS

FAULT = (
    "An error of this program, not of your file, ended the analysis. It is in the log of the program: report it to "
    "whoever runs this page."
)
DOWNLOADS = {
    ".parquet": "Table (Parquet)",
    ".csv": "Table (CSV)",
    "analysis.json": "What the columns mean (JSON)",
}

_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
_REFUSAL = _ENVIRONMENT.from_string(
    """<div class="abaw-panel {{ 'abaw-refusal' if is_error }}" role="{{ 'alert' if is_error else 'status' }}">
<p><strong>{{ "Not analysed." if is_error else "Stopped." }}</strong> {{ sentence }}</p></div>"""
)
_PROGRESS = _ENVIRONMENT.from_string(
    """<div class="abaw-panel-progress" role="status"><p>{{ text[0] | upper }}{{ text[1:] }}</p>
{% if part is not none %}
<progress value="{{ part }}" aria-label="part that is done"></progress>
{% endif %}
</div>"""
)
_RESULT = _ENVIRONMENT.from_string(
    """<section class="abaw-panel" aria-label="Result of {{ name }}">
<h2>{{ name }}</h2>
<ul class="abaw-summary">
{% for line in answer.lines + answer.sources %}
<li>{{ line }}</li>
{% endfor %}
</ul>
<p class="abaw-downloads">Download:
{% for label, address in downloads %}
<a href="{{ address }}" download>{{ label[0] | upper }}{{ label[1:] }}</a>{{ "," if not loop.last }}
{% endfor %}
</p>
{% if page %}
<iframe title="Timeline of {{ name }}" src="{{ page }}" sandbox="allow-scripts allow-downloads" allow="fullscreen">
</iframe>
<p><a href="{{ page }}" target="_blank" rel="noopener">Open the timeline in a tab of its own</a></p>
{% endif %}
</section>"""
)


def show_refusal(sentence: str | None) -> str:
    """HTML of a sentence that says why there is no result; None: an error of this program."""
    return _REFUSAL.render(sentence=FAULT if sentence is None else sentence, is_error=True)


def show_progress(part: float | None, text: str) -> str:
    """HTML that says how far an analysis is; ``part``: what is done, None while unknown."""
    return _PROGRESS.render(part=part, text=text)


def show_stopped() -> str:
    """HTML that says that the user has stopped the analysis."""
    return _REFUSAL.render(sentence="", is_error=False)


def show_result(name: str, address: str, answer: Answer) -> str:
    """HTML of a result: the summary, links to the files under ``address``, and the page in a frame."""
    labels = {f"{answer.clip_id}{suffix}": label for suffix, label in DOWNLOADS.items() if suffix.startswith(".")}
    labels |= {f"{answer.clip_id}{view.suffix}": view.meaning for view in VIEWS.values()}
    labels |= {name: label for name, label in DOWNLOADS.items() if not name.startswith(".")}
    downloads = [(labels.get(file, file), f"{address}/{quote(file)}") for file in _ordered(answer.files, labels)]
    page = f"{answer.clip_id}{VIEWS['page'].suffix}" if "page" in VIEWS else ""
    return _RESULT.render(
        name=name,
        answer=answer,
        downloads=downloads,
        page=f"{address}/{quote(page)}" if page in answer.files else "",
    )


def _ordered(files: tuple[str, ...], labels: dict[str, str]) -> list[str]:
    known = list(labels)
    return sorted(files, key=lambda file: (known.index(file) if file in known else len(known), file))
