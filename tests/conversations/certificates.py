"""Certificates for a server on this machine, and a client's trust in them."""

from pathlib import Path

import trustme
from gevent.ssl import SSLContext

from geventchat.client import tls_context


class Authority:
    """Signs certificates and knows the paths of their files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signs = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self._signs.cert_pem.write_to_path(self.ca)

    def issue(self, name: str, *hosts: str) -> str:
        """Return the path of a key with its certificate, for these hosts or for this machine."""
        file = self._folder / f"{name}.pem"
        file.touch(0o600)
        cert = self._signs.issue_cert(*(hosts or ("localhost", "127.0.0.1")))
        cert.private_key_and_cert_chain_pem.write_to_path(str(file))
        return str(file)

    def trust(self) -> SSLContext:
        """Return the context of a client that trusts this authority."""
        return tls_context(self.ca)
