"""Push repositories to the Hugging Face Hub. Every failure of the Hub is one line.

Files that the Hub has already, from an earlier or an interrupted push, are not uploaded again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.publishing.model_folder import is_allowed
from harness.publishing.repositories import MARKERS, Repository
from tasks.common.errors import DataError, HarnessError, first_line
from tasks.common.secrets import redacted
from tasks.common.terminal import one_line

if TYPE_CHECKING:
    from huggingface_hub import HfApi

KEPT = ("LICENSE", "NOTICE")
"""Beginnings of names of files that a push never removes: their owner may have added them on the Hub."""


@dataclass(frozen=True)
class Pushed:
    """The result of a push. ``changed``: False where the Hub had equal files already."""

    url: str
    tag: str
    changed: bool
    private: bool


def push(repository: Repository, public: bool) -> Pushed:
    """Upload the files in one commit and tag it ``v1``, ``v2``, ...; a new repository is private by default.

    Raises HarnessError: no token, no rights, the name is taken, or the Hub cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
    from huggingface_hub.utils import logging

    logging.get_logger("huggingface_hub").setLevel(
        "ERROR"
    )  # it warns of files that are equal; ``changed`` says so
    api = HfApi()
    with _one_line(repository.id, api.endpoint):
        if get_token() is None:
            raise DataError("the Hub needs a token: set HF_TOKEN, or run: hf auth login")
        existing = _existing(api, repository)
        if existing is None:
            api.create_repo(repository.id, repo_type=repository.kind, private=not public)
        elif public and existing.private:
            api.update_repo_settings(repository.id, repo_type=repository.kind, private=False)
        stale = _stale(existing, repository)
        operations: list[Any] = [
            CommitOperationAdd(name, source) for name, source in repository.files.items()
        ] + [CommitOperationDelete(name) for name in stale]
        message = "Push a run of sql-harness"
        commit = api.create_commit(
            repository.id, operations, commit_message=message, repo_type=repository.kind
        )
        return Pushed(
            url=f"{api.endpoint}/{'datasets/' if repository.kind == 'dataset' else ''}{repository.id}",
            tag=_tag(api, repository, commit.oid),
            changed=existing is None or commit.oid != existing.sha,
            private=not public if existing is None else bool(existing.private) and not public,
        )


def _existing(api: HfApi, repository: Repository) -> Any:
    """What the Hub says of the repository; None if there is none.

    Raises DataError: it holds something that this program did not push.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info: Any = api.repo_info(repository.id, repo_type=repository.kind)
    except RepositoryNotFoundError as error:
        if error.response.status_code == 401:
            raise
        return None
    names = {sibling.rfilename for sibling in info.siblings or ()} - {".gitattributes"}
    if names and MARKERS[repository.kind] not in names:
        raise DataError(
            f"the {repository.kind} {repository.id} exists and was not pushed by harness: choose another --to"
        )
    return info


def _stale(existing: Any, repository: Repository) -> list[str]:
    """Files of the model that an earlier push uploaded and this one does not have."""
    names = {sibling.rfilename for sibling in existing.siblings or ()} if existing else set()
    return sorted(
        name
        for name in names - repository.files.keys()
        if repository.kind == "model" and is_allowed(name) and not name.startswith(KEPT)
    )


def _tag(api: HfApi, repository: Repository, commit: str) -> str:
    """The tag ``v<number>`` of a commit, which is created if it has none."""
    tags = api.list_repo_refs(repository.id, repo_type=repository.kind).tags
    numbers = {tag.name: int(tag.name[1:]) for tag in tags if re.fullmatch(r"v\d+", tag.name)}
    for tag in tags:
        if tag.target_commit == commit and tag.name in numbers:
            return tag.name
    name = f"v{max(numbers.values(), default=0) + 1}"
    api.create_tag(repository.id, tag=name, revision=commit, repo_type=repository.kind)
    return name


@contextmanager
def _one_line(repo: str, endpoint: str) -> Iterator[None]:
    """Turn the errors of the Hub's client into a DataError that names the remedy."""
    try:
        yield
    except HarnessError:
        raise
    except Exception as error:
        wrapped = isinstance(error, RuntimeError) and error.__cause__ is not None
        text = _explained(repo, endpoint, error.__cause__ if wrapped else error)
        if text is None:
            raise
        raise DataError(text) from None


def _explained(repo: str, endpoint: str, error: BaseException | None) -> str | None:
    """The line for an error of the Hub's client; None: it is no error of the Hub."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    client_error = HfHubHTTPError.__bases__[0]  # httpx's HTTPError, or that of httpx2 from version 2 on
    message = one_line(redacted(first_line(error)))[:200] if error else ""
    if isinstance(error, HFValidationError):
        return f"--to {repo}: {message}"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set: unset it, or use --dry-run DIR"
    if isinstance(error, HfHubHTTPError):
        return _refused(repo, error)
    if isinstance(error, (client_error, ConnectionError, TimeoutError)):
        return f"{endpoint} cannot be reached: {message}: run the same command again"
    if isinstance(error, (ValueError, RuntimeError)):
        return f"the upload to {repo} failed: {message}: run the same command again"
    return None


def _refused(repo: str, error: Any) -> str:
    status = error.response.status_code
    message = one_line(redacted(str(error.server_message or first_line(error))))[:200]
    remedies = {
        401: "the Hub refused the token: set HF_TOKEN to a valid one, or run: hf auth login",
        403: f"the token may not write to {repo}: use a token with write access to its owner ({message})",
        404: f"the Hub has no {repo}, or its owner does not exist: check --to",
        409: f"the name {repo} is taken: choose another --to ({message})",
    }
    return remedies.get(
        status, f"the Hub answered {status} for {repo}: {message}: run the same command again"
    )
