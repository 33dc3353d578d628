"""The command ``sklearn-causalrec``."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sklearn_causalrec.serving.server.start import USAGE_ERROR, CannotStart, serve

EPILOG = """\
Signals: SIGTERM and SIGINT end the server when all requests are answered; SIGHUP opens
the file of the model again.

Answers are encrypted and callers have keys, unless --no-tls and --no-keys say
otherwise, which only addresses of this machine may. Without --certificate, one for
localhost is made and kept in ~/.local/state/sklearn-causalrec.
"""
KEYS = """\
Keys of callers of `sklearn-causalrec serve`. The file holds their hashes; a key itself
is printed once, when it is made. Servers notice a changed file within seconds. To
rotate a key, make a new one, give it to its users, and revoke the old one.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, default=None
        The arguments. With None, those of the process.

    Returns
    -------
    int
        The status to exit with: 0, 1 if workers died, 2 if it could not start.
    """
    options = _parser().parse_args(arguments)
    if options.command == "keys":
        return _keys(options)
    if options.command == "train":
        from sklearn_causalrec.serving.training import run

        return run(options)
    # Before numpy and torch are imported: cores are for workers, not for threads.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    try:
        return serve(options)
    except CannotStart as stop:
        print(f"sklearn-causalrec serve: {stop}", file=sys.stderr)
        return USAGE_ERROR


def _parser():
    parser = argparse.ArgumentParser(
        prog="sklearn-causalrec", description="Causal recommendation."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    serve = commands.add_parser(
        "serve",
        help="answer requests for lists and effects",
        description="Answer requests for lists and effects of a saved model.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = serve.add_argument
    add("model", type=Path, help="the file of the model, as save writes it")
    add(
        "--key-file",
        type=Path,
        help="a file with the key that signs the model, and no other byte",
    )
    add(
        "--keys", type=Path, metavar="FILE", help="the keys of callers, see `keys make`"
    )
    add("--no-keys", action="store_true", help="let everybody in on this machine")
    add("--rate", metavar="RATE", default="1000/second",
        help="of a key, for each worker (default: %(default)s)")  # fmt: skip
    add("--certificate", type=Path, metavar="PEM",
        help="the certificate, with those that sign it")  # fmt: skip
    add("--certificate-key", type=Path, metavar="PEM",
        help="the private key of the certificate")  # fmt: skip
    add("--no-tls", action="store_true", help="do not encrypt, on this machine")
    add("--host", default="127.0.0.1", help="the address (default: %(default)s)")
    add(
        "--port",
        type=_whole(0, 65535),
        default=8000,
        help="0: a free one (default: %(default)s)",
    )
    add("--workers", type=_whole(1), default=1, help="processes (default: %(default)s)")
    add("--index", type=_share, nargs="?", const=0.99, metavar="RECALL",
        help="answer by an index that finds this share of the exact lists (default "
        "where it is given without a number: 0.99)")  # fmt: skip
    add("--log-dir", type=Path, help="log decisions into files in this folder")
    add("--log-bytes", type=_whole(1), default=64 * 2**20,
        help="begin another file from this size on (default: %(default)s)")  # fmt: skip
    add("--log-sync", choices=["never", "rotate", "always"], default="rotate",
        help="when to force decisions to the disk (default: %(default)s)")  # fmt: skip
    add("--audit-dir", type=Path, help="log who got what into files in this folder")
    add("--audit-users", action="store_true", help="with the ids of users")
    add("--audit-why", action="store_true",
        help="with what adds to each score, which takes its time")  # fmt: skip
    add("--explore", choices=["epsilon", "thompson", "uncertainty"],
        help="draw lists at random, with known probabilities")  # fmt: skip
    add("--epsilon", type=float, default=0.1,
        help="the share of places that explore (default: %(default)s)")  # fmt: skip
    add("--bonus", type=float, default=1.0,
        help='of "uncertainty" (default: %(default)s)')  # fmt: skip
    add("--withhold", type=_whole(0), default=0,
        help="pairs a user, logged as not shown (default: %(default)s)")  # fmt: skip
    add("--watch", type=_seconds, default=5.0, metavar="SECONDS",
        help="look so often whether the file was replaced; 0: never (default: "
        "%(default)s)")  # fmt: skip
    add("--max-body", type=_whole(1), default=16 * 2**20, metavar="BYTES",
        help="of a request (default: %(default)s)")  # fmt: skip
    add("--max-connections", type=_whole(1), default=1000, metavar="N",
        help="per worker; further ones get 503 (default: %(default)s)")  # fmt: skip
    add("--patience", type=_some_seconds, default=10.0, metavar="SECONDS",
        help="for the head of a request, for its body, and for a client that does not "
        "read its answer (default: %(default)s)")  # fmt: skip
    add("--max-waiting", type=_whole(1), default=1024, metavar="REQUESTS",
        help="per worker; further ones get 503 (default: %(default)s)")  # fmt: skip
    add("--shutdown-timeout", type=_seconds, default=30.0, metavar="SECONDS",
        help="for the last requests, at the end (default: %(default)s)")  # fmt: skip
    train = commands.add_parser(
        "train",
        help="fit and save a model that a TOML file describes",
        description="Fit and save a model that a TOML file describes; with torchrun, "
        "by several processes: torchrun --nproc-per-node 2 --no-python "
        "sklearn-causalrec train config.toml",
    )
    train.add_argument("config", type=Path, help="the file, see docs/scaling_out.md")
    train.add_argument("--check", action="store_true",
        help="look at file, parameters and columns, and fit nothing")  # fmt: skip
    keys = commands.add_parser(
        "keys", help="make, list and revoke keys of callers", description=KEYS
    )
    actions = keys.add_subparsers(dest="action", required=True, metavar="action")
    make = actions.add_parser("make", help="make a key, and print it")
    make.add_argument("file", type=Path, help="the file of keys; made if there is none")
    make.add_argument("--name", required=True, help="whose key it is")
    make.add_argument("--scopes", required=True, nargs="+", metavar="SCOPE",
        help="what it is for: recommend, explain (and effects), audit, admin (metrics "
        "and reload)")  # fmt: skip
    life = make.add_mutually_exclusive_group()
    life.add_argument("--days", type=float, default=90.0,
        help="after which it expires (default: %(default)s)")  # fmt: skip
    life.add_argument("--no-expiry", action="store_true")
    make.add_argument("--rate", help='how often it may be used, such as "100/second"')
    show = actions.add_parser("list", help="what keys there are")
    show.add_argument("file", type=Path, help="the file of keys")
    revoke = actions.add_parser("revoke", help="revoke a key")
    revoke.add_argument("file", type=Path, help="the file of keys")
    revoke.add_argument("id", help="the id of the key, see `keys list`")
    return parser


def _keys(options):
    from sklearn_causalrec.serving.server.keys import (
        KeyFileError,
        make_key,
        read_keys,
        revoke_key,
    )

    try:
        if options.action == "make":
            days = None if options.no_expiry else options.days
            rest = options.name, options.scopes, days, options.rate
            key, entry = make_key(options.file, *rest)
            until = entry["expires"] or "it is revoked"
            print(key)
            print(
                f"Key {entry['id']} of {entry['name']} is for "
                f"{', '.join(entry['scopes'])} until {until}. It is shown this once: "
                f"{options.file} has its hash.",
                file=sys.stderr,
            )
        elif options.action == "revoke":
            entry = revoke_key(options.file, options.id)
            print(f"Key {entry['id']} of {entry['name']} is revoked.", file=sys.stderr)
        else:
            for entry in read_keys(options.file):
                print(_told(entry))
    except KeyFileError as error:
        print(f"sklearn-causalrec keys: {error}", file=sys.stderr)
        return USAGE_ERROR
    except OSError as error:
        why = error.strerror or error
        print(f"sklearn-causalrec keys: {options.file}: {why}", file=sys.stderr)
        return USAGE_ERROR
    return 0


def _told(entry):
    """A key in one line, without its hash."""
    end = f"expires {entry['expires'] or 'never'}"
    if entry["revoked"] is not None:
        end = f"revoked {entry['revoked']}"
    elif entry["expires"] and datetime.fromisoformat(entry["expires"]) <= datetime.now(
        UTC
    ):
        end = f"expired {entry['expires']}"
    rate = f"  {entry['rate']}" if entry["rate"] else ""
    return f"{entry['id']}  {','.join(entry['scopes'])}  {end}{rate}  {entry['name']}"


def _whole(least, most=None):
    def whole_number(text):
        value = int(text)
        if value < least or (most is not None and value > most):
            top = "" if most is None else f" to {most}"
            raise argparse.ArgumentTypeError(f"{value}: a number from {least}{top}")
        return value

    return whole_number


def _seconds(text):
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{value}: a number of seconds, 0 or more")
    return value


def _some_seconds(text):
    if not (value := _seconds(text)):
        raise argparse.ArgumentTypeError(f"{value}: more than 0 seconds")
    return value


def _share(text):
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{value}: a share above 0, at most 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
