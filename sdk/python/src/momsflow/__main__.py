"""`python -m momsflow`: single events from scripts and cron.

Exit codes: 0 delivered or safe in the spool, 1 not delivered or rejected, 2 wrong use.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from typing import Any

from .client import Client
from .errors import Failure, MomsflowError


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    logging.getLogger("momsflow").addHandler(logging.NullHandler())
    failures: list[Failure] = []
    try:
        client = Client(
            options.write_key,
            options.host,
            strict=True,
            on_error=failures.append,
            spool_dir=options.spool_dir,
            spool_sync="always",
        )
        _send(client, options)
    except MomsflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    client.close(options.timeout)
    stats = client.stats()
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    if stats.spooled:
        print(f"{stats.spooled} event(s) wait in {options.spool_dir}: {stats.last_error}", file=sys.stderr)
    return 1 if stats.rejected or stats.dropped else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = _parser()
    # argparse takes NAME=VALUE only in one run; those behind an option are left over.
    options, left = parser.parse_known_args(arguments)
    if unknown := [one for one in left if one.startswith("-")]:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.members = [*options.members, *left]
    return options


def _send(client: Client, options: argparse.Namespace) -> None:
    ids = {"user_id": options.user, "anonymous_id": options.anonymous_id}
    common = {"timestamp": options.timestamp, "message_id": options.message_id}
    members = _members(options.json, options.members)
    if options.command == "track":
        client.track(event=options.event, properties=members, **ids, **common)
    elif options.command == "identify":
        client.identify(traits=members, **ids, **common)
    elif options.command == "group":
        client.group(group_id=options.group, traits=members, **ids, **common)
    elif options.command == "alias":
        if members:
            raise MomsflowError("an alias has no NAME=VALUE")
        client.alias(options.previous, options.user, **common)
    else:
        getattr(client, options.command)(name=options.name, properties=members, **ids, **common)


def _members(text: str | None, pairs: list[str]) -> dict[str, Any]:
    try:
        members = json.loads(text) if text else {}
    except ValueError as error:
        raise MomsflowError(f"--json: {error}") from None
    if not isinstance(members, dict):
        raise MomsflowError("--json must be an object")
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise MomsflowError(f"{pair!r} is not name=value")
        members[name] = _value(value)
    return members


def _value(text: str) -> Any:
    """`3` and `true` as JSON says; anything that is no JSON is text."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m momsflow", description="Sends one event to momsflow.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    first: dict[str, tuple[str, str]] = {
        "track": ("event", "something that somebody did"),
        "identify": ("", "who somebody is"),
        "page": ("name", "a page that somebody saw"),
        "screen": ("name", "a screen that somebody saw"),
        "group": ("group", "a group that somebody belongs to"),
        "alias": ("previous", "the former id of a user"),
    }
    for command, (argument, text) in first.items():
        sub = commands.add_parser(command, help=text, description=f"Sends one event: {text}.")
        if argument:
            sub.add_argument(argument, metavar=argument.upper())
        _common(sub)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "members",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help="a property or trait; JSON where it is JSON, else text",
    )
    add("--user", metavar="ID", help="user id")
    add("--anonymous-id", metavar="ID")
    add("--json", metavar="OBJECT", help="properties or traits as one JSON object")
    add("--timestamp", metavar="TIME", help="ISO 8601 with its zone; now where left out")
    add("--message-id", metavar="ID", help="the same id again is stored once; for jobs that may run twice")
    add("--write-key", metavar="KEY", help="default: MOMSFLOW_WRITE_KEY; on the command line others can see it")
    add("--host", metavar="URL", help="default: MOMSFLOW_HOST, or http://127.0.0.1:8080")
    add("--spool-dir", metavar="DIR", help="keeps the event for the next run where the server is away")
    add("--timeout", type=float, default=10.0, metavar="SECONDS", help="how long to try (10)")


if __name__ == "__main__":
    sys.exit(main())
