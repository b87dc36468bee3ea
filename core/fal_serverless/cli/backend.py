"""`backend`: the program that serves, in the foreground or in the background."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from fal_serverless import config as configuration
from fal_serverless.cli import output
from fal_serverless.cli.session import Session, as_json, pass_session, run
from fal_serverless.config import LOCAL, PREFIX, Config, Context
from fal_serverless.errors import StateFailed, Unreachable

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Place:
    """Where a backend is to run; None: as configured."""

    host: str | None = None
    port: int | None = None
    domain: str | None = None
    state: Path | None = None
    gateways: int | None = None
    public_url: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool | None = None

    def applied(self, config: Config) -> Config:
        """The configuration again, with these over it."""
        given = {
            "HOST": self.host,
            "PORT": self.port,
            "DOMAIN": self.domain,
            "STATE": self.state,
            "GATEWAYS": self.gateways,
            "PUBLIC_URL": self.public_url,
            "TLS_CERT": self.tls_cert and self.tls_cert.absolute(),
            "TLS_KEY": self.tls_key and self.tls_key.absolute(),
            "INSECURE": self.insecure or None,
        }
        extra = {PREFIX + name: str(value) for name, value in given.items() if value is not None}
        return configuration.load({**config.environ, **extra})


def where(command: F) -> F:
    """The options that say where a backend runs."""
    options = (
        click.option("--host", help="Address to listen on.  [default: 127.0.0.1]"),
        click.option("--port", type=click.IntRange(1, 65535), help="Port.  [default: 3250]"),
        click.option("--domain", help="Endpoints are under gateway.DOMAIN.  [default: localhost]"),
        click.option(
            "--state",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder for all it keeps.",
        ),
        click.option(
            "--gateways",
            type=click.IntRange(1, 64),
            help="Processes that take calls.  [default: 1]",
        ),
        click.option("--public-url", help="Where a reverse proxy has it: https://fal.example.com"),
        click.option(
            "--tls-cert",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Certificate, with its chain, in PEM: speak HTTPS.",
        ),
        click.option(
            "--tls-key", type=click.Path(dir_okay=False, path_type=Path), help="Its private key."
        ),
        click.option(
            "--insecure", is_flag=True, help="Listen to other machines without TLS all the same."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
@click.pass_context
def backend(ctx: click.Context) -> None:
    """The embedded backend."""
    session: Session = ctx.obj
    if ctx.invoked_subcommand != "status" and session.context is not None:
        _refuse_elsewhere(session.config.context(session.context), ctx.invoked_subcommand)


def _refuse_elsewhere(named: Context, command: str | None) -> None:
    """Who names another backend must not find that the one of this machine was stopped."""
    if not named.embedded:
        raise click.UsageError(
            f"backend {command} is about the backend of this machine, and '{named.name}' is at "
            f"{named.url}; without --context, or with --context {LOCAL}, this machine's is meant"
        )


@backend.command("run")
@where
@pass_session
def run_here(session: Session, /, **place: Any) -> None:
    """Run the backend in the foreground until it is interrupted."""
    import logging

    from fal_serverless.backend import server

    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)-7s %(message)s")
    logging.getLogger("alembic").setLevel("WARNING")
    server.run(Place(**place).applied(session.config), any_port=False)


@backend.command("start")
@where
@pass_session
def start(session: Session, /, **place: Any) -> None:
    """Start the backend in the background; returns when it answers."""
    from fal_serverless import launcher

    config = Place(**place).applied(session.config)
    before = run(launcher.running(config))
    info = before or run(launcher.ensure(config))
    if before and place["port"] not in (None, info.port):
        output.say(f"It keeps port {info.port}; stop it first to start it on {place['port']}.")
    elif not before and info.port != config.settings.port:
        output.say(f"Port {config.settings.port} is taken; using {info.port}.")
    _use_local(config)
    verb = "runs already" if before else "started"
    output.data(f"Backend {verb} at {info.url} (process {info.pid}).")
    if config.paths.state != session.config.paths.state:
        output.say(f"Other commands find it with {PREFIX}STATE={config.paths.state}")


def _use_local(config: Config) -> None:
    """It is what an empty file means, too: one that cannot be written is no failure."""
    if configuration.chosen_context(config.paths) is None:
        with suppress(StateFailed):
            configuration.save_setting(config.paths, "context", LOCAL)


@backend.command("stop")
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), hidden=True)
@pass_session
def stop(session: Session, state: Path | None) -> None:
    """Stop the backend once running calls have finished."""
    from fal_serverless import launcher

    config = Place(state=state).applied(session.config)
    if run(launcher.stop(config)):
        output.data("Backend stopped.")
        if config.settings.context != LOCAL:
            output.say(f"It was this machine's; the context in use is '{config.settings.context}'.")
    else:
        output.data("No backend runs.")


@backend.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), help="Its folder.")
@pass_session
def backup(session: Session, file: Path, state: Path | None) -> None:
    """Write all that a backend of this machine keeps into one file, while it runs or not.

    Users, hashes of keys, revisions with their bundles, aliases, the audit log and config.toml; not
    environments, which are made again, nor logs.
    """
    from fal_serverless.backend import archive

    made = archive.backup(Place(state=state).applied(session.config), file.absolute())
    output.data(f"Backed up {made.revisions} revisions to {file} ({file.stat().st_size} bytes).")


@backend.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Put it in the place of the state that is there.")
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), help="Its folder.")
@pass_session
def restore(session: Session, file: Path, overwrite: bool, state: Path | None) -> None:
    """Put back what `backend backup` wrote; the backend must be stopped.

    All of the file is checked before anything is changed. Restore only what you trust: bundles are
    programs.
    """
    from fal_serverless.backend import archive

    config = Place(state=state).applied(session.config)
    made, settings = archive.restore(config, file, overwrite=overwrite)
    if archive.SETTINGS in made.members and not settings:
        output.say(f"{config.paths.config} stays as it is; --overwrite replaces it, too.")
    when = output.local_time(made.created_at)
    output.data(
        f"Restored {made.revisions} revisions of {when}, written by version {made.version}."
    )


@backend.command("status")
@as_json
@pass_session
def status(session: Session, as_json: bool) -> None:
    """Say what the backend of the context is doing; an embedded one is not started for it."""
    from fal_serverless import launcher

    context = session.config.context(session.context, session.key)
    if context.embedded and run(launcher.running(session.config)) is None:
        raise Unreachable(
            "the embedded backend does not run; start it: fal-serverless backend start"
        )
    found = session.ask(lambda client: client.status())
    if as_json:
        output.values(found)
        return
    traffic = found.traffic
    output.pairs(
        (
            ("Backend", f"{found.url} (process {found.pid}, version {found.version})"),
            ("Domain", f"gateway.{found.domain}"),
            ("Started", found.started_at),
            ("State", found.state_dir),
            ("User", f"{found.user.nickname} ({found.user.id})"),
            ("Functions", found.functions),
            ("Revisions", found.revisions),
            ("Aliases", found.aliases),
            ("Workers", found.workers),
            ("Gateways", str(found.gateways)),
            ("Templates", f"{found.templates} ({found.template_bytes // 2**20} MB)"),
            (
                "Traffic",
                f"{traffic.per_second:.1f} requests/s, {traffic.error_percent:.1f} % errors",
            ),
            ("Python", found.python_version),
            ("Isolation", found.isolation),
        )
    )
