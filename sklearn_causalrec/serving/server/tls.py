"""Encryption: certificates that are given, and one that is made for this machine."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from sklearn_causalrec.serving.container import locked, write

LIFE, LEFT = timedelta(days=90), timedelta(days=7)


def context_of(certificate, key):
    """What encrypts, of TLS 1.2 and later.

    Parameters
    ----------
    certificate : path-like
        The file of the certificate and those that sign it (PEM).
    key : path-like
        The file of its private key, without a password.

    Returns
    -------
    ssl.SSLContext

    Raises
    ------
    OSError
        If they cannot be read, or are none, or do not belong together
        (``ssl.SSLError`` is one).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key, password=_no_password)
    return context


def _no_password():
    raise ssl.SSLError("the private key has a password: a server cannot ask for it")


def home():
    """The folder of the certificate for this machine.

    Returns
    -------
    Path
    """
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "sklearn-causalrec"


def own_certificate(folder):
    """A certificate for this machine alone, which is made if there is none.

    It names localhost, 127.0.0.1 and ::1, is signed by itself, holds for 90 days, and
    is replaced by the first start of its last seven.

    Parameters
    ----------
    folder : path-like
        Where it is kept. It is made if there is none.

    Returns
    -------
    certificate, key : Path
        The files. Only their owner may read the key.
    """
    folder = Path(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate, key = folder / "localhost.crt", folder / "localhost.key"
    with locked(folder):
        if not _holds(certificate, key):
            text, secret = _made()
            write(key, secret, mode=0o600)
            write(certificate, text, mode=0o644)
    return certificate, key


def _holds(certificate, key):
    """Whether there is a certificate for some days to come, with its key."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        context_of(certificate, key)
    except (OSError, ValueError):
        return False
    return found.not_valid_after_utc > datetime.now(UTC) + LEFT


def _made():
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost")]
    names += [x509.IPAddress(ip_address(one)) for one in ("127.0.0.1", "::1")]
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "crl_sign",
         "key_agreement", "key_cert_sign", "encipher_only", "decipher_only"), False
    )  # fmt: skip
    public, now = key.public_key(), datetime.now(UTC)
    mine = x509.SubjectKeyIdentifier.from_public_key(public)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + LIFE)
    )
    for part, critical in (
        (x509.SubjectAlternativeName(names), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),  # it signs no other
        (x509.KeyUsage(digital_signature=True, **usage), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (mine, False),
        (x509.AuthorityKeyIdentifier(mine.digest, None, None), False),
    ):
        builder = builder.add_extension(part, critical)
    made = builder.sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM), secret
