"""The page, by Gradio."""

from typing import TYPE_CHECKING, Any

from abaw.app.panels import show_refusal
from abaw.app.running import Analyses, Wish, describe
from abaw.app.sessions import Sessions
from abaw.app.settings import AppSettings, offered_views
from abaw.dataset.media_files import MEDIA_SUFFIXES
from abaw.errors import InputError

if TYPE_CHECKING:
    from gradio import Blocks

LOOK_EVERY_S = 0.5  # at an analysis that runs
STYLE = """
.abaw-panel iframe { width: 100%; height: 85vh; border: 1px solid var(--border-color-primary); }
.abaw-panel h2 { overflow-wrap: anywhere; }
.abaw-refusal { border-left: 4px solid var(--error-border-color, #b91c1c); padding-left: 1em; }
.abaw-summary { overflow-wrap: anywhere; }
#abaw-result { min-height: 8em; }
#abaw-result progress { width: 100%; }
footer { display: none !important; }
/* trimming would fetch a program from the internet */
#abaw-recording button[aria-label*="rim"] { display: none; }
"""


def build_page(settings: AppSettings, sessions: Sessions, analyses: Analyses) -> "Blocks":
    """The page with its events. Inputs are not preprocessed by Gradio: ``Analyses`` checks them."""
    import gradio as gr

    facts = describe(settings)
    extra = offered_views()

    def start(source: Any, offer: Any, persons: Any, views: Any, request: gr.Request) -> Any:
        try:
            analyses.start(request.session_hash, Wish(source, offer, persons, views or ()))
        except InputError as error:
            return show_refusal(str(error)), gr.Timer(active=False)
        return look(request)

    def look(request: gr.Request) -> Any:
        shown, goes_on = analyses.look(request.session_hash)
        return shown, gr.Timer(active=goes_on)

    def take(source: Any, request: gr.Request) -> None:
        """An upload belongs to its tab at once, so that it is removed with it."""
        for each in source if isinstance(source, list) else [source]:
            if isinstance(each, dict) and isinstance(each.get("path"), str):
                sessions.take(sessions.of(request.session_hash), each["path"])

    def stop(request: gr.Request) -> Any:
        analyses.stop(request.session_hash)
        return look(request)

    def close(request: gr.Request) -> None:
        analyses.stop(request.session_hash)
        sessions.close(request.session_hash)

    # not through Gradio's queue: a page can miss the end of one event there, and then takes no click any more
    at_once: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    with gr.Blocks(title="abaw", analytics_enabled=False) as page:
        gr.Markdown(
            "# Expression, valence and arousal, frame by frame\n"
            f"Give a video or a sound file, {facts['limits']}. {facts['where']}"
        )
        with gr.Row(), gr.Column():
            with gr.Tab("Upload"):
                upload = gr.File(label="Video or sound file", file_types=sorted(MEDIA_SUFFIXES), elem_id="abaw-upload")
                sources: list[Any] = [(upload, gr.Button("Analyse the upload", variant="primary"))]
            with gr.Tab("Record"):
                recording = gr.Video(
                    label="Camera and microphone",
                    sources=["webcam"],
                    include_audio=True,
                    height=400,
                    elem_id="abaw-recording",
                )
                sources.append((recording, gr.Button("Analyse the recording", variant="primary")))
            if settings.examples:
                with gr.Tab("Examples"):
                    names = [(path.name, number) for number, path in enumerate(settings.examples)]
                    example = gr.Radio(names, value=0, label="Files on this machine", elem_id="abaw-example")
                    sources.append((example, gr.Button("Analyse the example", variant="primary")))
        with gr.Row():
            offers = [(offer.label, number) for number, offer in enumerate(settings.offers)]
            offer = gr.Dropdown(offers, value=0, label="Predict with", elem_id="abaw-offer")
            persons = gr.Radio(
                [("the main person", "target"), ("everyone who is seen", "all")], value="target", label="Persons"
            )
            halt = gr.Button("Stop", size="sm", min_width=80, elem_id="abaw-stop")
        with gr.Accordion("More files to make", open=False, visible=bool(extra)):
            views = gr.CheckboxGroup([(meaning, name) for name, meaning in extra.items()], show_label=False)
        result = gr.HTML(elem_id="abaw-result")
        timer = gr.Timer(LOOK_EVERY_S, active=False)
        shown = [result, timer]
        for source, button in sources:
            button.click(start, [source, offer, persons, views], shown, preprocess=False, **at_once)
        timer.tick(look, None, shown, **at_once)
        for source in (upload, recording):
            source.change(take, source, None, preprocess=False, **at_once)
        halt.click(stop, None, shown, **at_once)
        page.unload(close)
    page.queue(api_open=False)
    return page


def theme() -> Any:
    """Gradio's look with the fonts of the reader's system: others would be fetched from the internet."""
    import gradio as gr

    return gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
