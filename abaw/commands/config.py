from typing import Annotated

import typer

from abaw.commands import command


@command("config", order=48)
def config(
    name: Annotated[str | None, typer.Argument(help="print this one, with its comments; default: list all")] = None,
) -> None:
    """List the configs that come with the package, or print one: abaw config synthetic > my.yaml."""
    from abaw.pipelines.configuration import list_configs, read_config_text

    if name is not None:
        print(read_config_text(name), end="")
        return
    found = list_configs()
    width = max(len(each["name"]) for each in found)
    for each in found:
        print(f"{each['name']:<{width}}  {each['summary']}")
