"""One registry of the tests as its users see it: docker-registry behind TLS and tokens, a second door
without tokens to the same storage for seeding, and recording proxies in front of either."""

from tests.support import images
from tests.support.recording_proxy import RecordingProxy
from tests.support.registry import Registry

PUSHER = ("pusher", "push-secret")
PULLER = ("puller", "pull-secret")


class Site:
    def __init__(self, name, directory, authority, token_server):
        self.name = name
        self.token_server = token_server
        self._authority = authority
        storage = directory / "storage"
        self._guarded = Registry(directory / "guarded", storage, token_server, name, authority.token_certificate)
        self.open = Registry(directory / "open", storage)

    def upstream(self):
        """A fresh recording proxy over TLS; requests need a token of the token server."""
        challenge = f'Bearer realm="{self.token_server.realm}",service="{self.name}"'
        return RecordingProxy(self._guarded.address, self._authority.server_context(), challenge)

    def upstream_without_tokens(self):
        """The same content for everybody, over TLS: for Basic authentication, or as a CDN."""
        return RecordingProxy(self.open.address, self._authority.server_context())

    def settings(self, upstream, credentials=None, **more):
        """This registry's entry in layover's configuration, reached by `upstream`: asked for a tag at each
        request, unless `more` says otherwise."""
        entry = {"url": upstream.url, "ca_file": str(self._authority.ca_file), "tag_ttl": "0s", **more}
        if credentials is not None:
            password_file = self._authority.directory / f"password-{credentials[0]}"
            password_file.write_text(credentials[1] + "\n")
            entry["credentials"] = {"username": credentials[0], "password_file": str(password_file)}
            entry["shared"] = True
        return entry

    def push(self, layout, name):
        """Pushes an OCI layout with credentials, through TLS, as a user would."""
        door = self.upstream()
        images.push(layout, door.host, name, PUSHER, self._authority.certificate_directory())
        door.stop()

    def stop(self):
        self._guarded.stop()
        self.open.stop()
