import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from abaw.commands import command


@command("list", order=10)
def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="encoders (and presets), recognisers, detectors, aligners, models, tasks, editions, corpora; "
            "default: all"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print a list of objects, `name` first")] = False,
) -> None:
    """List what exists, with its settings: encoders, recognisers, models, tasks, corpora and more."""
    from abaw.pipelines import listing

    chosen = listing.list_parts(kind)
    if as_json:
        print(json.dumps([{**row, "kind": title} for title, rows in chosen.items() for row in rows], indent=2))
        return
    for title, rows in chosen.items():
        print(f"{title}:")
        width = max(len(row["name"]) for row in rows)
        for row in rows:
            print("\n".join(_lines(row, width)))


def _lines(row: dict[str, Any], width: int) -> list[str]:
    """A part as text: its summary and settings; of a preset what it loads, its size and licence."""
    choices = row.get("choices", {})
    settings = ", ".join(
        f"{key}={default}{_others(default, choices.get(key, ()))}" for key, default in row.get("settings", {}).items()
    )
    lines, indent = [f"  {row['name']:<{width}}  {row['summary']}"], " " * (width + 4)
    if "plugin" in row:
        lines.append(f"{indent}plug-in: {row['plugin']}")
    if "trained_on" in row:
        use = {True: "yes", False: "no", None: "not known"}[row["commercial"]]
        trained_on = ", ".join(row["trained_on"]) or "depends on the network"
        lines.append(f"{indent}outputs: {row['answers']}; trained on: {trained_on}")
        lines.append(f"{indent}licence: {row['licence']}; commercial use: {use}")
    if "paper" in row:
        lines.append(f"{indent}after {row['paper']}")
    if "verified" in row:
        lines.append(f"{indent}{row['source']}; licence: {row['licence']}; tested {row['verified']}")
    if "preset_of" in row:
        size = "" if row["size_mb"] is None else f", {row['size_mb']} MB"
        needed = f", needs {row['needs']}=PATH" if row["needs"] else ""
        lines.append(f"{indent}is {row['preset_of']}:{settings.replace(', ', ',')}{size}{needed}")
        lines.append(f"{indent}licence: {row['licence'] or 'see where you get it'}")
        return lines + ([f"{indent}{row['note']}"] if row["note"] else [])
    return lines + ([f"{indent}settings: {settings}"] if settings else [])


def _others(default: str, choices: Sequence[Any]) -> str:
    """The values that a setting can have besides its default."""
    others = ", ".join(repr(each) for each in choices if repr(each) != default)
    return f" (or {others})" if others else ""
