"""Push repositories to the Hugging Face Hub. Every failure of the Hub is one line.

Files that the Hub has already, from an earlier or an interrupted push, are not uploaded again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.publishing.model_folder import is_replaced
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


def push(planned: Sequence[Repository], public: bool) -> Iterator[Pushed]:
    """Upload the files of each repository in one commit and tag it ``v1``, ``v2``, ...

    A new repository is private by default. All repositories are checked, and all files hashed, before the
    first upload. The tag of the records goes to the repository after it.
    Raises HarnessError: no token, no rights, the name is taken, a repository is public and ``public`` is not
    set, the model or a repository changes during the push, or the Hub cannot be reached.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils import logging

    logging.get_logger("huggingface_hub").setLevel(
        "ERROR"
    )  # it warns of files that are equal; ``changed`` says so
    api = HfApi()
    prepared = []
    for repository in planned:
        with _one_line(repository.id, api.endpoint):
            if get_token() is None:
                raise DataError("the Hub needs a token: set HF_TOKEN, or run: hf auth login")
            existing = _existing(api, repository, public)
            prepared.append((repository, existing, _additions(repository.files)))
    for repository in planned:
        repository.expect_unchanged()
    tag = ""
    for repository, existing, additions in prepared:
        with _one_line(repository.id, api.endpoint):
            additions += _additions(repository.of_records(tag))
            pushed = _commit(api, repository, existing, additions, public)
        tag = pushed.tag
        yield pushed


def _additions(files: Mapping[str, bytes | Path]) -> list[Any]:
    """The operations that add these files; each is hashed here."""
    from huggingface_hub import CommitOperationAdd

    return [CommitOperationAdd(name, source) for name, source in files.items()]


def _commit(api: HfApi, repository: Repository, existing: Any, additions: list[Any], public: bool) -> Pushed:
    """Create the repository if there is none, commit to it as it was found, and tag the commit."""
    from huggingface_hub import CommitOperationDelete

    if existing is None:
        api.create_repo(repository.id, repo_type=repository.kind, private=not public)
    elif public and existing.private:
        api.update_repo_settings(repository.id, repo_type=repository.kind, private=False)
    stale = _stale(existing, repository, {addition.path_in_repo for addition in additions})
    commit = api.create_commit(
        repository.id,
        [*additions, *(CommitOperationDelete(name) for name in stale)],
        commit_message="Push a run of sql-harness",
        repo_type=repository.kind,
        parent_commit=existing.sha if existing else None,
    )
    return Pushed(
        url=f"{api.endpoint}/{'datasets/' if repository.kind == 'dataset' else ''}{repository.id}",
        tag=_tag(api, repository, commit.oid),
        changed=existing is None or commit.oid != existing.sha,
        private=not public,
    )


def _existing(api: HfApi, repository: Repository, public: bool) -> Any:
    """What the Hub says of the repository; None if there is none.

    Raises DataError: it holds something that this program did not push, or all can read it and ``public`` is
    not set.
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
    if not info.private and not public:
        raise DataError(
            f"the {repository.kind} {repository.id} is public: add --public, or choose another --to"
        )
    return info


def _stale(existing: Any, repository: Repository, pushed: set[str]) -> list[str]:
    """Files of the model, and its results, that an earlier push uploaded and this one does not have."""
    names = {sibling.rfilename for sibling in existing.siblings or ()} if existing else set()
    return sorted(
        name
        for name in names - pushed
        if repository.kind == "model" and is_replaced(name) and not name.startswith(KEPT)
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
        412: f"{repo} has changed during the push: run the same command again",
    }
    return remedies.get(
        status, f"the Hub answered {status} for {repo}: {message}: run the same command again"
    )
