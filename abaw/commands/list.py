import json
from typing import Annotated, Any

import typer

from abaw.errors import InputError
from abaw.pipelines.listing import parts


def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(help="encoders (and presets), finders, aligners, models, tasks or editions; all when left out"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="a list of objects, `name` first")] = False,
) -> None:
    """What exists, one line each with its settings."""
    kinds = parts()
    if kind is not None and kind not in kinds:
        raise InputError(f"no list of {kind!r}: there are {', '.join(kinds)}")
    chosen = {kind: kinds[kind]} if kind else kinds
    if as_json:
        print(json.dumps([{**row, "kind": title} for title, rows in chosen.items() for row in rows], indent=2))
        return
    for title, rows in chosen.items():
        print(f"{title}:")
        width = max(len(row["name"]) for row in rows)
        for row in rows:
            print("\n".join(_lines(row, width)))


def _lines(row: dict[str, Any], width: int) -> list[str]:
    """A part as text: its summary, its settings; of a preset what it loads, how large that is and its licence."""
    settings = ", ".join(f"{key}={default}" for key, default in row.get("settings", {}).items())
    lines, indent = [f"  {row['name']:<{width}}  {row['summary']}"], " " * (width + 4)
    if "paper" in row:
        lines.append(f"{indent}after {row['paper']}")
    if "preset_of" in row:
        size = "" if row["size_mb"] is None else f", {row['size_mb']} MB"
        given = f", needs {row['needs']}=PATH" if row["needs"] else ""
        lines.append(f"{indent}is {row['preset_of']}:{settings.replace(', ', ',')}{size}{given}")
        lines.append(f"{indent}licence: {row['licence'] or 'see where you get it'}")
        return lines + ([f"{indent}{row['note']}"] if row["note"] else [])
    return lines + ([f"{indent}settings: {settings}"] if settings else [])
