"""`clues client` and `clues server`: the two sides of a collaboration between machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clues.commands.guard import command as _command
from clues.io.progress import say

client = typer.Typer(help="A data owner's machine.", no_args_is_help=True)
server = typer.Typer(help="The coordinator's server.", no_args_is_help=True)
ledger = typer.Typer(help="The record of everything that left a client.", no_args_is_help=True)
Folder = Annotated[Path, typer.Option(help="The server's folder: certificates, clients, state, logs.")]


@client.command("start", epilog="Example: clues client start hospital.toml")
@_command
def client_start(file: Annotated[Path, typer.Argument(help="The owner's settings, SILO.toml.")]) -> None:
    """Take part in the runs of a server, until stopped. Data stay on this machine."""
    from clues.collaboration.flower.silo import start
    from clues.commands.silo import reached
    from clues.settings import read_silo

    own = read_silo(file)
    say(reached(own))
    start(own, file.absolute())


@client.command("check", epilog="Example: clues client check hospital.toml")
@_command
def client_check(file: Annotated[Path, typer.Argument(help="The owner's settings, SILO.toml.")]) -> None:
    """Say what of address, certificate, key, registration, model or data is wrong, if anything."""
    from clues.commands.silo import preflight

    for line in preflight(file):
        typer.echo(line)


@server.command("start", epilog="Example: clues server start --folder server --name clues.hospital.org --port 9092")
@_command
def server_start(
    folder: Folder = Path("server"),
    name: Annotated[list[str] | None, typer.Option(help="A host name or address of this server; repeatable.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen at.")] = 9092,
) -> None:
    """Serve collaborations, until stopped. Certificates are made at the first start."""
    from clues.collaboration.flower.server import start as serve

    serve(folder, host=host, port=port, names=name or [])


@server.command("add-client", epilog="Example: clues server add-client hospital")
@_command
def server_add_client(
    id: Annotated[str, typer.Argument(help="The client's id in runs.")],
    folder: Folder = Path("server"),
    address: Annotated[str | None, typer.Option(help="host:port by which this client reaches the server.")] = None,
) -> None:
    """Register a client, and write the one file to hand over to it."""
    from clues.collaboration.flower.server import add_client as add
    from clues.commands.silo import checked_id

    file = add(folder, checked_id(id), address=address)
    typer.echo(f"Hand over {file} in a safe way: it holds the client's key.")


@server.command("doctor", epilog="Example: clues server doctor")
@_command
def server_doctor(folder: Folder = Path("server")) -> None:
    """Say what is wrong with the server and its clients, if anything."""
    from clues.collaboration.flower.server import doctor as examine

    wrong = examine(folder)
    for line in wrong or ["The server runs, and all registered clients are online."]:
        typer.echo(line)
    if wrong:
        raise typer.Exit(1)


@ledger.command("verify", epilog="Example: clues ledger verify ledger.jsonl --received received.jsonl --client a")
@_command
def ledger_verify(
    file: Annotated[Path, typer.Argument(help="A client's ledger.jsonl, or the server's received.jsonl.")],
    received: Annotated[Path | None, typer.Option(help="The server's received.jsonl, to compare with.")] = None,
    client: Annotated[str | None, typer.Option(help="The client whose ledger it is.")] = None,
) -> None:
    """Check that no line was changed, removed or moved, and that the server received what the ledger holds."""
    from clues.collaboration.ledger import compare_ledger, verify_ledger
    from clues.errors import ConfigError

    entries = verify_ledger(file).entries
    typer.echo(f"{len(entries)} messages, {sum(entry['bytes'] for entry in entries):,} bytes; no line was changed.")
    if received is None:
        return
    if client is None:
        raise ConfigError("--client: name the client whose ledger it is, as the server's file has those of all.")
    found = compare_ledger(file, received, client)
    typer.echo(f"The server received {found.received} of them, all as the ledger holds them.")
    if found.lost:
        typer.echo(f"It did not receive those of lines {', '.join(map(str, found.lost))}.")
