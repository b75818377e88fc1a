"""A server with the part of the Hugging Face Hub's API with which files are committed.

Repositories, commits and tags are kept in memory. Files of ``LARGE`` bytes and more, and files that are not
UTF-8, go through git LFS; small text files are in the commit itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

LARGE = 100_000
TOKEN = "hf_test_0123456789"


@dataclass
class Repo:
    private: bool
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b""})
    sha: str = "0" * 40
    commits: list[dict[str, Any]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


class Hub(ThreadingHTTPServer):
    """``repos``: (type, name) -> repository; ``uploads``: the LFS objects that were uploaded, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.readers: set[str] = set()
        """Tokens that may read only."""
        self.owners = {"me"}
        self.taken: set[str] = set()
        """Names that exist without being visible."""
        self.broken_uploads = 0
        """Refuse so many uploads that come after the first."""
        self.broken_tags = 0
        self.before: dict[str, Callable[[], None]] = {}
        """What happens before the next ``info`` or ``commit`` of a repository is answered, once."""
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def blob_id(content: bytes) -> str:
    """git's id of a file, as the preupload endpoint gives it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(size: int, sample: bytes) -> bool:
    try:
        sample.decode()
    except UnicodeDecodeError:
        return True
    return size >= LARGE


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, value: Any, status: int = 200, code: str = "") -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", str(value.get("error")))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int, message: str, code: str = "Refused") -> None:
        self.reply({"error": message}, status, code)

    def may(self, write: bool) -> bool:
        """Whether the token may do this; replies where it may not."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in {TOKEN, *self.server.readers}:
            self.refuse(401, "Invalid user token", "InvalidToken")
            return False
        if write and token in self.server.readers:
            self.refuse(403, "You don't have the rights to write", "Forbidden")
            return False
        return True

    def found(self, kind: str, name: str) -> Repo | None:
        repo = self.server.repos.get((kind, name))
        if repo is None:
            self.refuse(404, "Repository not found", "RepoNotFound")
        return repo

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self.may(write=False):
            return
        if match := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)/refs", path):
            if repo := self.found(*match.groups()):
                branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.sha}]
                tags = [
                    {"name": name, "ref": f"refs/tags/{name}", "targetCommit": sha}
                    for name, sha in repo.tags.items()
                ]
                self.reply({"branches": branches, "converts": [], "tags": tags})
        elif match := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)(/revision/.+)?", path):
            self.server.before.pop("info", lambda: None)()
            if repo := self.found(match[1], match[2]):
                siblings = [{"rfilename": name} for name in repo.files]
                facts = {"id": match[2], "sha": repo.sha, "siblings": siblings, "private": repo.private}
                self.reply({**facts, "modelId": match[2], "tags": [], "downloads": 0, "likes": 0})
        else:
            self.refuse(404, f"no such path: {path}")

    def do_PUT(self) -> None:
        content = self.body()
        if match := re.fullmatch(r"/upload/([0-9a-f]{64})", self.path):
            with self.server.lock:
                if self.server.uploads and self.server.broken_uploads:
                    self.server.broken_uploads -= 1
                    self.refuse(400, "the connection broke")
                    return
                assert hashlib.sha256(content).hexdigest() == match[1]
                self.server.objects[match[1]] = content
                self.server.uploads.append(match[1])
            self.reply({})
            return
        match = re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)/settings", self.path)
        if match and self.may(write=True) and (repo := self.found(match[1], match[2])):
            repo.private = json.loads(content)["visibility"] == "private"
            self.reply({})

    def do_POST(self) -> None:
        path, content = self.path.partition("?")[0], self.body()
        kinds = r"/api/(model|dataset)s/([^/]+/[^/]+)"
        if path == "/api/validate-yaml":
            self.validate(json.loads(content))
        elif not self.may(write=True):
            return
        elif path == "/api/repos/create":
            self.create(json.loads(content))
        elif match := re.fullmatch(rf"{kinds}/preupload/.+", path):
            self.preupload(match[1], match[2], json.loads(content))
        elif match := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self.batch(json.loads(content))
        elif match := re.fullmatch(rf"{kinds}/commit/.+", path):
            self.commit(match[1], match[2], [json.loads(line) for line in content.splitlines()])
        elif match := re.fullmatch(rf"{kinds}/tag/(.+)", path):
            self.tag(*match.groups(), json.loads(content)["tag"])
        else:
            self.refuse(404, f"no such path: {path}")

    def validate(self, card: dict[str, Any]) -> None:
        """As the Hub: the metadata is a mapping, and a model-index has names, results, tasks and metrics."""
        try:
            metadata = yaml.safe_load(card["content"].split("---\n")[1])
            for model in metadata.get("model-index", []):
                assert model["name"]
                for result in model["results"]:
                    assert result["task"]["type"] and result["dataset"]["name"] and result["dataset"]["type"]
                    assert all(metric["type"] and "value" in metric for metric in result["metrics"])
        except (yaml.YAMLError, AssertionError, KeyError, AttributeError, IndexError, TypeError) as error:
            self.reply({"errors": [{"message": repr(error)}], "warnings": []}, 400)
            return
        self.reply({"errors": [], "warnings": []})

    def create(self, asked: dict[str, Any]) -> None:
        name, kind = f"{asked['organization']}/{asked['name']}", asked.get("type") or "model"
        if asked["organization"] not in self.server.owners:
            self.refuse(403, f"You don't have the rights to create a {kind} under {asked['organization']}")
        elif (kind, name) in self.server.repos or name in self.server.taken:
            self.refuse(409, f"You already created this {kind} repo")
        else:
            private = asked.get("visibility") == "private" or asked.get("private") is True
            self.server.repos[kind, name] = Repo(private)
            self.reply({"url": f"{self.server.url}/{name}", "name": name})

    def preupload(self, kind: str, name: str, asked: dict[str, Any]) -> None:
        repo = self.found(kind, name)
        if repo is None:
            return
        answers = []
        for file in asked["files"]:
            large = is_large(file["size"], base64.b64decode(file["sample"]))
            known = repo.files.get(file["path"])
            digest = None
            if known is not None:
                digest = hashlib.sha256(known).hexdigest() if large else blob_id(known)
            mode = {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            answers.append({**mode, "oid": digest})
        self.reply({"files": answers})

    def batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for one in asked["objects"]:
            action = {"upload": {"href": f"{self.server.url}/upload/{one['oid']}"}}
            known = one["oid"] in self.server.objects
            objects.append({**one} if known else {**one, "actions": action})
        self.reply({"transfer": "basic", "objects": objects})

    def commit(self, kind: str, name: str, lines: list[dict[str, Any]]) -> None:
        self.server.before.pop("commit", lambda: None)()
        repo = self.found(kind, name)
        if repo is None:
            return
        (parent,) = (line["value"].get("parentCommit") for line in lines if line["key"] == "header")
        if parent not in (None, repo.sha):
            self.refuse(412, "A commit has happened since")
            return
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repo.files[value["path"]] = self.server.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del repo.files[value["path"]]
        repo.commits.append({"lines": lines})
        repo.sha = hashlib.sha1(f"{name}{len(repo.commits)}".encode()).hexdigest()
        url = f"{self.server.url}/{'datasets/' if kind == 'dataset' else ''}{name}/commit/{repo.sha}"
        self.reply({"success": True, "commitOid": repo.sha, "commitUrl": url})

    def tag(self, kind: str, name: str, revision: str, tag: str) -> None:
        if self.server.broken_tags:
            self.server.broken_tags -= 1
            self.refuse(400, "the connection broke")
        elif repo := self.found(kind, name):
            repo.tags[tag] = revision
            self.reply({})
