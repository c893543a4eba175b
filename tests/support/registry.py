"""Runs Debian's docker-registry on a loopback port, with its content in a directory, with or without
token authentication, and plants content in it over its own API. TLS is the recording proxy's part."""

import hashlib
import http.client
import json

from tests.support.processes import Process, accepts_connections, free_port

_OPEN = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}, maxthreads: 100}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_TOKEN = """auth:
  token:
    realm: {realm}
    service: {service}
    issuer: {issuer}
    rootcertbundle: {certificate}
"""


class Registry:
    """`storage` may be shared by two of them: one behind tokens, one open for seeding it."""

    def __init__(self, directory, storage, token_server=None, service="registry.test", certificate=None):
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        text = _OPEN.format(root=storage, port=self.port)
        if token_server is not None:
            text += _TOKEN.format(realm=token_server.realm, service=service, issuer=token_server.ISSUER,
                                  certificate=certificate)
        config = directory / "registry.yml"
        config.write_text(text)
        self._process = Process(["docker-registry", "serve", config], directory / "registry.log",
                                env={"OTEL_TRACES_EXPORTER": "none"})
        self._process.wait_until(lambda: accepts_connections(self.port), "the registry listens")

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def stop(self):
        self._process.stop()

    def plant_blob(self, repository, content):
        """Uploads `content` (bytes, or the path of a file) and gives its digest. Open registries only."""
        if isinstance(content, bytes):
            return self._upload(repository, content, digest_of(content), len(content))
        with open(content, "rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            return self._upload(repository, file, digest, content.stat().st_size)

    def plant_manifest(self, repository, reference, content, media_type):
        """Uploads a manifest under a tag or its digest and gives its digest. Open registries only."""
        status, _ = self._call("PUT", f"/v2/{repository}/manifests/{reference}", content,
                               {"Content-Type": media_type, "Content-Length": str(len(content))})
        assert status == 201, f"the registry refused the manifest: {status}"
        return digest_of(content)

    def plant_image(self, repository, tag, layers):
        """A small image of raw layers, for tests that only move bytes: its descriptor of digests."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "tag": tag,
                             "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        media_type = "application/vnd.oci.image.manifest.v1+json"
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": media_type,
            "config": self._descriptor(repository, config, "application/vnd.oci.image.config.v1+json"),
            "layers": [self._descriptor(repository, layer, "application/vnd.oci.image.layer.v1.tar")
                       for layer in layers],
        }).encode()
        return PlantedImage(repository, tag, self.plant_manifest(repository, tag, manifest, media_type),
                            manifest, {digest_of(blob): blob for blob in [config, *layers]})

    def _descriptor(self, repository, blob, media_type):
        return {"mediaType": media_type, "digest": self.plant_blob(repository, blob), "size": len(blob)}

    def _upload(self, repository, body, digest, size):
        status, headers = self._call("POST", f"/v2/{repository}/blobs/uploads/", b"", {"Content-Length": "0"})
        assert status == 202, f"the registry refused the upload: {status}"
        place = headers["Location"].split("//", 1)[1].split("/", 1)[1]
        status, _ = self._call("PUT", f"/{place}&digest={digest}", body,
                               {"Content-Length": str(size), "Content-Type": "application/octet-stream"})
        assert status == 201, f"the registry refused the blob: {status}"
        return digest

    def _call(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status, response.headers


class PlantedImage:
    def __init__(self, repository, tag, digest, manifest, blobs):
        self.repository, self.tag, self.digest = repository, tag, digest
        self.manifest = manifest
        self.blobs = blobs  # digest -> bytes


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()
