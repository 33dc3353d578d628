"""The start of a server: its socket, keys, certificate, model and processes."""

import errno
import logging
import os
import re
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address

logger = logging.getLogger("sklearn_causalrec.serving")
USAGE_ERROR = 2
HERE = ("localhost", "127.0.0.1", "[::1]")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class CannotStart(Exception):
    """What is wrong, in words for whoever typed the command."""


def serve(options):
    """Serve a model until a signal ends it.

    Parameters
    ----------
    options : argparse.Namespace
        The options of ``sklearn-causalrec serve``.

    Returns
    -------
    int
        The status to exit with.

    Raises
    ------
    CannotStart
        If something is wrong with them.
    """
    for name in ("fastapi", "uvicorn", "prometheus_client", "limits", "cryptography"):
        if find_spec(name) is None:  # importing them would be too early, see below
            raise CannotStart(
                f"{name} is not installed: pip install 'sklearn-causalrec[serve]'"
            )
    handler = logging.StreamHandler()
    handler.setFormatter(OneRecord("%(asctime)s %(process)d %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler])
    logger.setLevel(logging.INFO)
    if options.workers > 1 and not hasattr(os, "fork"):
        raise CannotStart(
            "--workers needs a system with fork. Start one server a port, behind a "
            "proxy that shares requests among them."
        )
    with ExitStack() as stack:
        listening = stack.enter_context(_socket(options))
        address, port = listening.getsockname()[:2]
        here = ip_address(address).is_loopback
        keys, hosts = _keys(options, address, here)
        encryption, certificate = _encryption(options, here)
        if options.workers > 1:  # before prometheus_client is imported
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        host = _host(options)
        decisions, audit = _decisions(options), _audit(options)
        address = f"[{address}]" if ":" in address else address
        parent = os.getpid()

        def look_again():
            os.kill(parent, signal.SIGHUP)

        def work():
            import uvicorn

            from sklearn_causalrec.serving.server.app import create_app
            from sklearn_causalrec.serving.server.edge import MAX_HEAD
            from sklearn_causalrec.serving.server.slow import patient

            if options.workers > 1:
                host.reload()  # what has come since the first worker started
            app = create_app(
                host,
                decisions=decisions,
                audit=audit,
                keys=keys,
                rate=options.rate,
                hosts=hosts,
                watch=options.watch,
                max_waiting=options.max_waiting,
                max_body=options.max_body,
                patience=options.patience,
                others=look_again if options.workers > 1 else None,
            )
            config = uvicorn.Config(
                app,
                http=patient(options.patience),
                ws="none",
                log_config=None,
                log_level="warning",
                limit_concurrency=options.max_connections,
                h11_max_incomplete_event_size=MAX_HEAD,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,  # longer than the pauses of most clients
                timeout_graceful_shutdown=max(1, int(options.shutdown_timeout)),
            )
            config.load()
            config.ssl = encryption
            # The event loop must not wait long for the thread that scores.
            sys.setswitchinterval(0.001)
            server = _server_class(uvicorn)(config)
            server.run(sockets=[listening])
            return 0 if server.started else USAGE_ERROR

        model = host.current
        if hasattr(signal, "SIGHUP"):  # one that comes too early must not end us
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        listening.listen(2048)  # from here on, whoever connects is answered
        how = "http" if encryption is None else "https"
        where = f"{how}://{address}:{port}"
        print(f"Serving {model.name} {model.id} on {where}", flush=True)
        if certificate is not None:
            print(f"Clients trust the certificate {certificate}", flush=True)
        if options.workers == 1:
            return work()
        from prometheus_client import multiprocess

        from sklearn_causalrec.serving.server.workers import Follower, run_workers

        patience = options.shutdown_timeout + 5
        ended = multiprocess.mark_process_dead
        follow = Follower(host, options.watch)
        return run_workers(options.workers, work, ended, patience, follow)


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
            raise CannotStart(
                f"port {options.port} of {options.host} is in use: stop what listens "
                "there, or take another one, --port"
            ) from None
        raise CannotStart(
            f"--host {options.host} --port {options.port}: {error.strerror or error}"
        ) from None
    listening.set_inheritable(True)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # who takes nothing is ended by Linux
        wait = int(1000 * options.patience)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, wait)
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
        raise CannotStart(
            "--withhold needs --explore: lists without draws withhold nothing"
        )
    if options.explore is not None and options.log_dir is None:
        raise CannotStart(
            "--explore needs --log-dir: what is not logged is not learned from"
        )
    try:
        key = None if options.key_file is None else options.key_file.read_bytes()
    except OSError as error:
        raise CannotStart(f"--key-file {options.key_file}: {error.strerror}") from None
    try:
        scorer = None if options.index is None else _index(options.index)
        return ModelHost(options.model, key, scorer, exploration)
    except FileNotFoundError:
        raise CannotStart(f"{options.model}: there is no such file") from None
    except OSError as error:
        raise CannotStart(f"{options.model}: {error.strerror or error}") from None
    except ImportError as error:
        raise CannotStart(str(error)) from None
    except (TypeError, ValueError) as error:  # ModelFileError is a ValueError
        text = str(error)
        where = "" if str(options.model) in text else f"{options.model}: "
        raise CannotStart(f"{where}{text}") from None


def _index(recall):
    """What makes the index of a model, where this version has one."""
    from sklearn_causalrec import serving

    if not hasattr(serving, "EffectIndex"):
        raise CannotStart(
            "--index: this version of sklearn-causalrec has no EffectIndex"
        )
    return partial(serving.EffectIndex, recall=recall)


def _decisions(options):
    from sklearn_causalrec.serving.server.decisions import DecisionLog

    if options.log_dir is None:
        return None
    try:
        return DecisionLog(options.log_dir, options.log_bytes, options.log_sync)
    except OSError as error:
        raise CannotStart(
            f"--log-dir {options.log_dir}: {error.strerror or error}"
        ) from None


def _audit(options):
    from sklearn_causalrec.serving.server.audit import AuditLog

    if options.audit_dir is None:
        if options.audit_users or options.audit_why:
            raise CannotStart("--audit-users and --audit-why need --audit-dir")
        return None
    more = {"users": options.audit_users, "why": options.audit_why}
    sizes = options.log_bytes, options.log_sync
    try:
        return AuditLog(options.audit_dir, *sizes, **more)
    except OSError as error:
        why = error.strerror or error
        raise CannotStart(f"--audit-dir {options.audit_dir}: {why}") from None


def _keys(options, address, here):
    """The keys of callers, and the names of the server where there are none."""
    import limits

    from sklearn_causalrec.serving.server.keys import KeyFileError, KeyRing

    if options.keys is not None and options.no_keys:
        raise CannotStart("--keys and --no-keys: leave one of them out")
    if options.rate is not None:
        try:
            limits.parse(options.rate)
        except ValueError:
            raise CannotStart(
                f'--rate {options.rate}: such as "100/second" or "5000/minute"'
            ) from None
    if options.no_keys:
        if not here:
            raise CannotStart(
                f"--no-keys lets everybody in who reaches {options.host}: it is for "
                "addresses of this machine alone, such as 127.0.0.1"
            )
        return None, {*HERE, options.host, address}
    if options.keys is None:
        raise CannotStart(
            "who may ask? `sklearn-causalrec keys make keys.json --name me --scopes "
            "recommend` makes a key; then pass --keys keys.json. Or let everybody in "
            "on this machine: --no-keys"
        )
    try:
        return KeyRing(options.keys), None
    except OSError as error:
        raise CannotStart(f"--keys {options.keys}: {error.strerror}") from None
    except KeyFileError as error:
        raise CannotStart(f"--keys: {error}") from None


def _encryption(options, here):
    """What encrypts, and the certificate that was made for it, if one was."""
    from sklearn_causalrec.serving.server.tls import context_of, home, own_certificate

    given = options.certificate, options.certificate_key
    if options.no_tls:
        if any(given):
            raise CannotStart("--no-tls and a certificate: leave one of them out")
        if not here:
            raise CannotStart(
                f"--no-tls sends keys and answers readably to {options.host}: it is "
                "for addresses of this machine alone, such as 127.0.0.1"
            )
        return None, None
    if any(given):
        if not all(given):
            raise CannotStart("--certificate and --certificate-key go together")
        try:
            return context_of(*given), None
        except OSError as error:
            raise CannotStart(
                f"--certificate {given[0]}, --certificate-key {given[1]}: "
                f"{error.strerror or error}"
            ) from None
    if not here:
        raise CannotStart(
            f"--host {options.host} needs a certificate of its name: --certificate and "
            "--certificate-key. The one that is made here is for this machine alone."
        )
    try:
        certificate, key = own_certificate(home())
        return context_of(certificate, key), certificate
    except OSError as error:
        raise CannotStart(
            f"the certificate for this machine cannot be kept in {home()}: "
            f"{error.strerror or error}. Set XDG_STATE_HOME to another folder, or pass "
            "--certificate and --certificate-key"
        ) from None


class OneRecord(logging.Formatter):
    """Nothing that is quoted can look like a record of its own, or move a cursor."""

    def format(self, record):
        """The text of a record.

        Parameters
        ----------
        record : LogRecord

        Returns
        -------
        str
            Lines after the first one begin with spaces; control characters are escaped.
        """
        lines = super().format(record).split("\n")
        return "\n    ".join(CONTROL.sub(lambda c: ascii(c[0])[1:-1], o) for o in lines)


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
