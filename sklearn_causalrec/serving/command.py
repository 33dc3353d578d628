"""The command ``sklearn-causalrec``."""

import argparse
import errno
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

logger = logging.getLogger("sklearn_causalrec.serving")
USAGE_ERROR = 2
EPILOG = """\
Signals: SIGTERM and SIGINT end the server when all requests are answered; SIGHUP opens
the file of the model again.

The server asks nobody who they are. Let only those reach it who may, for instance
through a proxy.
"""


class _Stop(Exception):
    """What is wrong, in words for whoever typed the command."""


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
    # Before numpy and torch are imported: cores are for workers, not for threads.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    try:
        return _serve(options)
    except _Stop as stop:
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
        help="a file with the key of the model, and no other byte",
    )
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
    add("--max-waiting", type=_whole(1), default=1024, metavar="REQUESTS",
        help="per worker; further ones get 503 (default: %(default)s)")  # fmt: skip
    add("--shutdown-timeout", type=_seconds, default=30.0, metavar="SECONDS",
        help="for the last requests, at the end (default: %(default)s)")  # fmt: skip
    return parser


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


def _share(text):
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{value}: a share above 0, at most 1")
    return value


def _serve(options):
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        if find_spec(name) is None:  # importing them would be too early, see below
            raise _Stop(
                f"{name} is not installed: pip install 'sklearn-causalrec[serve]'"
            )
    logging.basicConfig(format="%(asctime)s %(process)d %(levelname)s %(message)s")
    logger.setLevel(logging.INFO)
    if options.workers > 1 and not hasattr(os, "fork"):
        raise _Stop(
            "--workers needs a system with fork. Start one server a port, behind a "
            "proxy that shares requests among them."
        )
    with ExitStack() as stack:
        listening = stack.enter_context(_socket(options))
        if options.workers > 1:  # before prometheus_client is imported
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        host = _host(options)
        decisions = _decisions(options)
        address, port = listening.getsockname()[:2]
        address = f"[{address}]" if ":" in address else address
        if not address.startswith(("127.", "[::1]")):
            logger.warning("Nobody is asked who they are, and %s is open.", address)

        def work():
            import uvicorn

            from sklearn_causalrec.serving.server.app import create_app

            if options.workers > 1:
                host.reload()  # what has come since the first worker started
            app = create_app(
                host,
                decisions=decisions,
                watch=options.watch,
                max_waiting=options.max_waiting,
                max_body=options.max_body,
            )
            config = uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,  # longer than the pauses of most clients
                timeout_graceful_shutdown=max(1, int(options.shutdown_timeout)),
            )
            # The event loop must not wait long for the thread that scores.
            sys.setswitchinterval(0.001)
            server = _server_class(uvicorn)(config)
            server.run(sockets=[listening])
            return 0 if server.started else USAGE_ERROR

        model = host.current
        if hasattr(signal, "SIGHUP"):  # one that comes too early must not end us
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        listening.listen(2048)  # from here on, whoever connects is answered
        print(f"Serving {model.name} {model.id} on http://{address}:{port}", flush=True)
        if options.workers == 1:
            return work()
        from prometheus_client import multiprocess

        from sklearn_causalrec.serving.server.workers import run_workers

        patience = options.shutdown_timeout + 5
        return run_workers(
            options.workers, work, multiprocess.mark_process_dead, patience
        )


def _socket(options):
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY on what this socket accepts.
    # Else the second packet of an answer waits for a delayed acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":  # a port that was just given up may be taken again
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise _Stop(
                f"port {options.port} of {options.host} is in use: stop what listens "
                "there, or take another one, --port"
            ) from None
        raise _Stop(
            f"--host {options.host} --port {options.port}: {error.strerror or error}"
        ) from None
    listening.set_inheritable(True)
    return listening


def _host(options):
    from sklearn_causalrec.serving.server.models import ModelHost

    exploration = {}
    if options.explore is not None:
        exploration = {
            name: getattr(options, name)
            for name in ("explore", "epsilon", "bonus", "withhold")
        }
    elif options.withhold:
        raise _Stop("--withhold needs --explore: lists without draws withhold nothing")
    if options.explore is not None and options.log_dir is None:
        raise _Stop("--explore needs --log-dir: what is not logged is not learned from")
    try:
        key = None if options.key_file is None else options.key_file.read_bytes()
    except OSError as error:
        raise _Stop(f"--key-file {options.key_file}: {error.strerror}") from None
    try:
        scorer = None if options.index is None else _index(options.index)
        return ModelHost(options.model, key, scorer, exploration)
    except FileNotFoundError:
        raise _Stop(f"{options.model}: there is no such file") from None
    except OSError as error:
        raise _Stop(f"{options.model}: {error.strerror or error}") from None
    except ImportError as error:
        raise _Stop(str(error)) from None
    except (TypeError, ValueError) as error:  # ModelFileError is a ValueError
        text = str(error)
        where = "" if str(options.model) in text else f"{options.model}: "
        raise _Stop(f"{where}{text}") from None


def _index(recall):
    """What makes the index of a model, where this version has one."""
    from sklearn_causalrec import serving

    if not hasattr(serving, "EffectIndex"):
        raise _Stop("--index: this version of sklearn-causalrec has no EffectIndex")
    return partial(serving.EffectIndex, recall=recall)


def _decisions(options):
    from sklearn_causalrec.serving.server.decisions import DecisionLog

    if options.log_dir is None:
        return None
    try:
        return DecisionLog(options.log_dir, options.log_bytes, options.log_sync)
    except OSError as error:
        raise _Stop(f"--log-dir {options.log_dir}: {error.strerror or error}") from None


def _server_class(uvicorn):
    class Server(uvicorn.Server):
        """It ends with the status 0 on SIGTERM, where uvicorn raises it once more."""

        @contextmanager
        def capture_signals(self):
            before = {
                number: signal.signal(number, self.handle_exit)
                for number in (signal.SIGTERM, signal.SIGINT)
            }
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    return Server


if __name__ == "__main__":
    sys.exit(main())
