"""A registry's token service, as the tests script it: accounts, what each may do where, tokens that
expire soon. It issues the RS256 tokens that docker-registry's `auth: token` accepts, and counts requests."""

import base64
import fnmatch
import json
import subprocess
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field

from tests.support.https_server import Handler, HttpsServer

ANONYMOUS = ""


@dataclass
class Account:
    """`access` maps a repository pattern to the actions granted there."""
    password: str
    access: dict = field(default_factory=dict)

    def actions(self, repository, wanted):
        granted = set()
        for pattern, actions in self.access.items():
            if fnmatch.fnmatchcase(repository, pattern):
                granted |= set(actions)
        return [action for action in wanted if action in granted]


@dataclass(frozen=True)
class TokenRequest:
    account: str
    service: str
    scopes: tuple
    had_credentials: bool
    status: int


class TokenServer:
    ISSUER = "layover-tests"

    def __init__(self, authority):
        self._authority = authority
        self._lock = threading.Lock()
        self.accounts = {ANONYMOUS: Account("")}
        self.requests = []
        self.reset()
        pem = authority.token_certificate.read_text()
        self._certificate = "".join(pem.split("-----")[2].split())  # x5c: the DER in base64
        self._server = HttpsServer(_TokenHandler, self, authority.server_context())

    @property
    def host(self):
        return f"127.0.0.1:{self._server.port}"

    @property
    def realm(self):
        return f"https://{self.host}/token"

    def reset(self):
        """Forgets the requests and takes back what a test changed."""
        with self._lock:
            self.requests = []
        self.lifetime = 300           # seconds until a token really expires
        self.announced_lifetime = None  # what `expires_in` says; None: the truth
        self.delay = 0.0              # seconds each answer is held back
        self.trouble = None           # the status of each answer, instead of what is right

    def add_account(self, name, password, access):
        self.accounts[name] = Account(password, access)

    def stop(self):
        self._server.stop()

    def start(self):
        self._server.start()

    def count(self, **fields):
        """How many requests came in with these values, for example account="puller"."""
        with self._lock:
            return sum(all(getattr(r, k) == v for k, v in fields.items()) for r in self.requests)

    def record(self, request):
        with self._lock:
            self.requests.append(request)

    def issue(self, account, service, scopes):
        now = int(time.time())
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            allowed = self.accounts[account].actions(name, actions.split(",")) if kind == "repository" else []
            if allowed:
                access.append({"type": kind, "name": name, "actions": allowed})
        claims = {"iss": self.ISSUER, "sub": account, "aud": service, "iat": now, "nbf": now - 10,
                  "exp": now + self.lifetime, "jti": uuid.uuid4().hex, "access": access}
        return self._sign(claims)

    def _sign(self, claims):
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._certificate]}
        signed = f"{_base64url(json.dumps(header).encode())}.{_base64url(json.dumps(claims).encode())}"
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self._authority.token_key],
                                   input=signed.encode(), capture_output=True, check=True).stdout
        return f"{signed}.{_base64url(signature)}"


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token_claims(token):
    """The claims inside a token, unverified."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def basic_credentials(header):
    """(user, password) of an Authorization header, or None when it is not Basic."""
    if not (header or "").lower().startswith("basic "):
        return None
    user, _, password = base64.b64decode(header[6:]).decode().partition(":")
    return user, password


class _TokenHandler(Handler):
    def do_GET(self):
        service_state = self.owner
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        scopes = tuple(scope for value in query.get("scope", []) for scope in value.split(" "))
        service = query.get("service", [""])[0]
        credentials = basic_credentials(self.headers.get("Authorization"))
        account = self._account(credentials)
        status = 401 if account is None else 200
        service_state.record(TokenRequest(credentials[0] if credentials else ANONYMOUS, service, scopes,
                                          "Authorization" in self.headers, status))
        if service_state.delay:
            time.sleep(service_state.delay)
        if service_state.trouble is not None:
            return self.answer(service_state.trouble)
        if account is None:
            return self.answer(401, [("Content-Type", "application/json")],
                               b'{"errors":[{"code":"UNAUTHORIZED","message":"wrong credentials"}]}')
        announced = service_state.announced_lifetime
        answer = {"token": service_state.issue(account, service, scopes),
                  "expires_in": service_state.lifetime if announced is None else announced,
                  "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        return self.answer(200, [("Content-Type", "application/json")], json.dumps(answer).encode())

    def _account(self, credentials):
        if credentials is None:
            return ANONYMOUS if "Authorization" not in self.headers else None
        user, password = credentials
        account = self.owner.accounts.get(user)
        return user if account is not None and user and account.password == password else None
