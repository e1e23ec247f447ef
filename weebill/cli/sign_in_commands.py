"""`weebill users link`, `invite`, `invitations`, `withdraw`, `sessions`, `sign-out`: the commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from weebill.cli.context import ConfigOption, JsonOption, QuietOption, sources_of
from weebill.cli.tenant_commands import DEFAULT_ORG, OrgOption, RoleOption, users_app

__all__ = ["users_app"]

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="A user's e-mail address.")]


@users_app.command("link")
def link_user(
    context: typer.Context,
    email: Annotated[
        str | None, typer.Argument(metavar="EMAIL", help="A user's; the owner by default.", show_default=False)
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Print a link that signs a user in, once, within half an hour."""
    from weebill.cli.sign_in import link

    link(sources_of(context, config), email, quiet, as_json)


@users_app.command("invite")
def invite_user(
    context: typer.Context,
    email: Email,
    org: OrgOption = DEFAULT_ORG,
    role: RoleOption = "member",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Print a link by which somebody joins an organisation, within seven days."""
    from weebill.cli.invitations import invite

    invite(sources_of(context, config), email, org, role, quiet, as_json)


@users_app.command("invitations")
def list_invitations(
    context: typer.Context,
    org: OrgOption = DEFAULT_ORG,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the open invitations to an organisation."""
    from weebill.cli.invitations import list_invitations

    list_invitations(sources_of(context, config), org, quiet, as_json)


@users_app.command("withdraw")
def withdraw_invitation(
    context: typer.Context,
    invitation: Annotated[str, typer.Argument(metavar="ID", help="An invitation's id.")],
    org: OrgOption = DEFAULT_ORG,
    config: ConfigOption = None,
) -> None:
    """End an invitation, whose link is of no use from then on."""
    from weebill.cli.invitations import withdraw

    withdraw(sources_of(context, config), invitation, org)


@users_app.command("sessions")
def list_sessions(
    context: typer.Context, email: Email, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """List a user's sessions."""
    from weebill.cli.sign_in import sessions

    sessions(sources_of(context, config), email, as_json)


@users_app.command("sign-out")
def sign_out_user(
    context: typer.Context,
    email: Email,
    session: Annotated[
        str | None, typer.Option(metavar="ID", help="This one alone; all by default.", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """End a user's sessions, at once."""
    from weebill.cli.sign_in import sign_out

    sign_out(sources_of(context, config), email, session)
