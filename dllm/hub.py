"""From what the user calls a model to a folder on disk. The only place that may use the network."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from dllm.errors import ConfigError, ModelError

TINY = "tiny"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
TOKENIZER_FILES = ("*.json", "*.jinja", "merges.txt")
_MODEL_FILES = (*TOKENIZER_FILES, "*.safetensors")


def resolve_folder(
    model: str | os.PathLike[str], revision: str | None = None, files: tuple[str, ...] = _MODEL_FILES
) -> Path:
    """The folder of a model: `"tiny"`, an existing folder, or else a Hub id, whose `files` are downloaded once.

    Raises:
        ModelError: no such folder, or the Hub cannot deliver.
        ConfigError: `revision` with something that is not a Hub id.
    """
    if not isinstance(model, str | os.PathLike) or not os.fspath(model):
        raise ModelError(f"model={model!r} must be a folder, a Hub id or {TINY!r}")
    path = Path(model).expanduser()
    local = _tiny() if model == TINY else path if path.is_dir() else None
    if local is not None:
        if revision is not None:
            raise ConfigError(f"revision={revision!r} applies to Hub ids, and {str(model)!r} is a folder; drop it")
        return local
    if path.exists():
        raise ModelError(f"{path} is a file; give the folder that holds config.json and the weights")
    if not isinstance(model, str) or _looks_like_path(model):
        raise ModelError(f"no such folder: {path}")
    return _download(model, revision, files)


def _tiny() -> Path:
    folder = Path(__file__).parent / "models" / "tiny"
    if not (folder / "config.json").is_file():
        raise ModelError(f"the packaged model 'tiny' is not in this installation ({folder}); reinstall dllm")
    return folder


def _looks_like_path(model: str) -> bool:
    """Never worth a network call: a Hub id is `name` or `owner/name`."""
    return _HUB_ID.fullmatch(model) is None


def _download(repository: str, revision: str | None, files: tuple[str, ...]) -> Path:
    # Imported here: it costs a second, and local models never need it.
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(files)))
    except GatedRepoError as error:
        why = "it is gated; accept its terms on the Hub and log in with `hf auth login`"
        cause: Exception = error
    except RevisionNotFoundError as error:
        why, cause = f"it has no revision {revision!r}", error
    except RepositoryNotFoundError as error:
        why, cause = "no such repository, or it is private and you are not logged in", error
    except Exception as error:  # offline, a proxy, a full disk: the client raises types of several libraries
        why, cause = f"the Hub could not be reached and it is not in the local cache ({_first_line(error)})", error
        if constants.HF_HUB_OFFLINE:
            why = "HF_HUB_OFFLINE is set, and it is not in the local cache; unset that, or fetch it with `hf download`"
    raise ModelError(f"{repository!r} is neither a folder nor available from the Hub: {why}") from cause


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: the file is missing or holds something else.
    """
    if not path.is_file():
        raise ModelError(f"{path.parent}: no {path.name}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: must hold a JSON object, not {type(value).__name__}")
    return value


def read_json_if_present(path: Path) -> dict[str, Any]:
    """As `read_json`, or `{}` where there is no such file."""
    return read_json(path) if path.is_file() else {}
