import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from abaw.commands import Anyway, Commercial, Device, MovedWeights, TrustRuns, command

LOG = logging.getLogger("abaw")


@command("app", order=81, stopped="stopped: uploads and results are removed")
def app(
    run: Annotated[list[Path] | None, typer.Option(help="a trained run that users can choose")] = None,
    recogniser: Annotated[
        list[str] | None,
        typer.Option(
            help="a pretrained recogniser that users can choose: NAME or NAME:setting=value,...; default without "
            "--run: all that are on this machine"
        ),
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(help="folder of video or sound files that users can analyse without an upload")
    ] = None,
    host: Annotated[
        str, typer.Option(help="address to listen on; one that other machines can reach needs a password")
    ] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="port to listen on; default: the first free from 7860")] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="file with the password in its first line; without it the environment variable ABAW_APP_PASSWORD"
        ),
    ] = None,
    max_upload_mb: Annotated[float, typer.Option(help="largest file that users can upload")] = 500,
    max_length_s: Annotated[float, typer.Option(help="longest video or sound that is analysed")] = 600,
    at_once: Annotated[int, typer.Option(help="analyses that run at a time; others wait in a queue")] = 1,
    commercial: Commercial = False,
    anyway: Anyway = False,
    device: Device = "cpu",
    weights: MovedWeights = None,
    trust: TrustRuns = False,
) -> None:
    """Serve a page in the browser: upload or record, analyse as `abaw analyze` does, look and download.

    Only this machine can open it, unless --host says otherwise. Uploads and results are removed when the page is
    closed, and at the end.
    """
    from abaw.app import serving, settings
    from abaw.pipelines.analysis.limits import MediaLimits

    chosen = settings.make_settings(
        runs=run or [],
        recognisers=recogniser or [],
        examples=examples,
        limits=MediaLimits(int(max_upload_mb * 1e6), max_length_s),
        host=host,
        port=port,
        password=settings.read_password(password_file, os.environ.pop("ABAW_APP_PASSWORD", "")),
        max_at_once=at_once,
        commercial=commercial,
        anyway=anyway,
        device=device,
        weights=weights or [],
        trust=trust,
    )
    serving.serve(chosen, lambda address: LOG.info("open %s in a browser; Ctrl-C ends it", address))
