"""A certificate authority of the tests' own, made with openssl, and the server certificates it signs."""

import ssl

from tests.support.processes import run

SERVER_NAMES = "IP:127.0.0.1,DNS:localhost,DNS:registry-a.test,DNS:registry-b.test,DNS:cdn.test"


class TlsAuthority:
    """Keeps its files in `directory`; `ca_file` is what clients trust."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = directory / "ca.crt"
        self._ca_key = directory / "ca.key"
        self._self_signed(self._ca_key, self.ca_file, "/CN=layover test authority")
        self.server_key, self.server_certificate = self._sign("server", SERVER_NAMES)
        # Registry tokens are signed with a key of their own; the registry trusts its certificate.
        self.token_key = directory / "token.key"
        self.token_certificate = directory / "token.crt"
        self._self_signed(self.token_key, self.token_certificate, "/CN=layover test tokens", "rsa:2048")

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_certificate, self.server_key)
        return context

    def client_context(self):
        return ssl.create_default_context(cafile=str(self.ca_file))

    def certificate_directory(self):
        """A directory as skopeo's --cert-dir wants it: every *.crt in it is a trusted authority."""
        directory = self.directory / "cert-dir"
        directory.mkdir(exist_ok=True)
        (directory / "ca.crt").write_bytes(self.ca_file.read_bytes())
        return directory

    def _self_signed(self, key, certificate, subject, kind="ec"):
        algorithm = ["-newkey", kind]
        if kind == "ec":
            algorithm += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
        run(["openssl", "req", "-x509", *algorithm, "-nodes", "-days", "30", "-subj", subject,
             "-keyout", key, "-out", certificate])

    def _sign(self, name, alternative_names):
        key, request = self.directory / f"{name}.key", self.directory / f"{name}.csr"
        certificate, extensions = self.directory / f"{name}.crt", self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative_names}\nextendedKeyUsage=serverAuth\n")
        run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", f"/CN={name}", "-keyout", key, "-out", request])
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.ca_file, "-CAkey", self._ca_key,
             "-CAcreateserial", "-days", "30", "-extfile", extensions, "-out", certificate])
        return key, certificate
