"""``umbel completion``: the script by which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

#: The variable by which the shell asks; the name follows from that of the program.
VARIABLE = "_UMBEL_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete umbel's commands and options.

    \b
    Examples:
      eval "$(umbel completion bash)"      in ~/.bashrc (bash 4.4 or newer)
      eval "$(umbel completion zsh)"       in ~/.zshrc, after compinit
      umbel completion fish > ~/.config/fish/completions/umbel.fish
    """
    cls = get_completion_class(shell)
    assert cls is not None
    click.echo(cls(ctx.find_root().command, {}, "umbel", VARIABLE).source())
