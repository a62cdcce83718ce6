"""A certificate for the webhook's Service. Its CA signs nothing else: the key of the CA is thrown away at once."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

_VALID = timedelta(days=365)
_RENEWED_BEFORE = timedelta(days=120)
_SKEW = timedelta(hours=1)
"""The clock of an API server may be behind ours."""


def make(host: str, now: datetime) -> dict[str, str]:
    """A certificate of a year for a server of that name, as a Secret holds it, in PEM; `now` has a time zone."""
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hipbmm-operator webhook CA")])
    signs, serves = (x509.BasicConstraints(ca=ca, path_length=0 if ca else None) for ca in (True, False))
    # By the identifier, clients find the right one of two CAs that have the same name.
    known_by = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known_by)
    ca = _unsigned(issuer, issuer, authority.public_key(), now).add_extension(signs, critical=True)
    # A common name has at most 64 characters, and nobody reads it: servers are known by the alternative name.
    leaf = _unsigned(x509.Name([]), issuer, server.public_key(), now).add_extension(serves, critical=True)
    leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
    return {
        "ca.crt": _signed(ca.add_extension(known_by, critical=False), authority),
        "tls.crt": _signed(leaf.add_extension(signed_by, critical=False), authority),
        "tls.key": server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    return builder.not_valid_before(now - _SKEW).not_valid_after(now + _VALID)


def _signed(builder: x509.CertificateBuilder, by: ec.EllipticCurvePrivateKey) -> str:
    return builder.sign(by, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def usable(held: Mapping[str, str], host: str, now: datetime) -> bool:
    """Whether the certificate serves `host` now and its CA is one of those beside it."""
    try:
        found = x509.load_pem_x509_certificate(held["tls.crt"].encode())
        key = load_pem_private_key(held["tls.key"].encode(), None).public_key()
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        alike = key == found.public_key()
        served = host in names.get_values_for_type(x509.DNSName)
        return alike and served and now < found.not_valid_after_utc and bool(issuer(held["ca.crt"], found))
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return False


def due(certificate: str, now: datetime) -> bool:
    """Whether a usable certificate is to be renewed."""
    return now > x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc - _RENEWED_BEFORE


def issuer(bundle: str, certificate: x509.Certificate) -> str:
    """The CA in a bundle that has signed a certificate; "" when there is none. Raises ValueError."""
    for each in x509.load_pem_x509_certificates(bundle.encode()):
        try:
            certificate.verify_directly_issued_by(each)
        except Exception:  # noqa: BLE001, S112  # whatever it says is a no
            continue
        return each.public_bytes(Encoding.PEM).decode()
    return ""


def step(known: Mapping[str, str], trusted: str, host: str, now: datetime) -> dict[str, str]:
    """What the Secret is to hold, one step on from what it holds; the API servers are to trust its `ca.crt`.

    A renewal has two steps, so that no call fails: first the CA of the next certificate is trusted beside that of the
    present one, then the next one is served. `trusted` is what the API servers were given before.
    """
    bundle = known.get("ca.crt", "")
    present, following = (
        {"ca.crt": bundle, "tls.crt": known.get(f"{name}.crt", ""), "tls.key": known.get(f"{name}.key", "")}
        for name in ("tls", "next")
    )
    if not usable(present, host, now):
        return make(host, now)
    if usable(following, host, now):
        return following if trusted == bundle else dict(known)
    if not due(present["tls.crt"], now):
        return present
    made = make(host, now)
    both = issuer(bundle, x509.load_pem_x509_certificate(present["tls.crt"].encode())) + made["ca.crt"]
    return {**present, "ca.crt": both, "next.crt": made["tls.crt"], "next.key": made["tls.key"]}
