"""From what the user calls a model to a folder on disk, and from its files of text to values.

The only place that may use the network. What lies in a folder was written by others: nothing outside of it is opened,
and whatever a file holds, there is a value or a `ModelError` that names the file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dllm.errors import ConfigError, ModelError

TINY = "tiny"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
TOKENIZER_FILES = ("*.json", "*.jinja", "merges.txt")
_MODEL_FILES = (*TOKENIZER_FILES, "*.safetensors")

SMALL, LARGE = 1 << 24, 1 << 27
"""Most characters of a file of settings, and of one that grows with a vocabulary or a network: several times the
largest that are published, and a bound on the memory that reading one takes."""
DEEPEST = 64
"""Most levels of a file of JSON; published ones have about eight."""
_CONTAINERS = frozenset((dict, list))
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def resolve_folder(
    model: str | os.PathLike[str], revision: str | None = None, files: tuple[str, ...] = _MODEL_FILES
) -> Path:
    """The folder of a model: `"tiny"`, an existing folder, or else a Hub id, whose `files` are downloaded once.

    Raises:
        ModelError: no such folder, or the Hub cannot deliver.
        ConfigError: `revision` with something that is not a Hub id.
    """
    if not isinstance(model, str | os.PathLike) or not isinstance(os.fspath(model), str) or not os.fspath(model):
        raise ModelError(f"model={model!r} must be a folder, a Hub id or {TINY!r}")
    try:
        path = Path(model).expanduser()
        local = _tiny() if model == TINY else path if path.is_dir() else None
        there = path.exists()
    except (OSError, RuntimeError) as error:  # too long for a name, not to be looked into, a ~ without a home
        raise ModelError(f"no such folder: {os.fspath(model)!r:.200} ({said(error)})") from error
    if local is not None:
        if revision is not None:
            raise ConfigError(
                f"revision={revision!r:.100} applies to Hub ids, and {str(model)!r:.200} is a folder; drop it"
            )
        return local
    if there:
        raise ModelError(f"{path} is a file; give the folder that holds config.json and the weights")
    if not isinstance(model, str) or _looks_like_path(model):
        raise ModelError(f"no such folder: {path}")
    return _download(model, revision, files)


def _tiny() -> Path:
    config = Path(__file__).parent / "models" / "tiny" / "config.json"
    if not config.is_file():
        raise ModelError(f"the packaged model 'tiny' is not in this installation ({config.parent}); reinstall dllm")
    return config.resolve().parent  # some installers make a link of every file


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
        why, cause = f"the Hub could not be reached and it is not in the local cache ({said(error)})", error
        if constants.HF_HUB_OFFLINE:
            why = "HF_HUB_OFFLINE is set, and it is not in the local cache; unset that, or fetch it with `hf download`"
    raise ModelError(f"{repository!r} is neither a folder nor available from the Hub: {why}") from cause


# --- files ------------------------------------------------------------------------------------------------------------


def present(path: Path) -> bool:
    """Whether a folder has a file of this name that may be opened.

    Links are followed inside the folder, and in the Hub's cache to where it keeps what its snapshots share.

    Raises:
        ModelError: it leads outside, or nowhere, or is no file.
    """
    try:
        home = path.parent.resolve()
        if not os.path.lexists(path):
            return False
        found = path.resolve(strict=True)
        is_file = found.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a link to nothing or in a circle, no right to look
        raise ModelError(f"{path}: cannot be opened ({said(error)})") from error
    shared = home.parent.parent / "blobs" if home.parent.name == "snapshots" else None
    if not found.is_relative_to(home) and found.parent != shared:
        raise ModelError(
            f"{path}: is a link to {found}, and nothing outside the folder is opened; put the file itself there"
        )
    if not is_file:
        raise ModelError(f"{path}: is not a file")
    return True


def read_text(path: Path, most: int = SMALL) -> str:
    """A file of UTF-8, its line ends as `\\n`, without a byte order mark.

    Args:
        most: characters.

    Raises:
        ModelError: the file is missing, lies outside its folder, is too long, or is no such text.
    """
    if not present(path):
        raise ModelError(f"{path.parent}: no {path.name}")
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(most + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read ({said(error)})") from error
    if len(text) > most:
        raise ModelError(f"{path}: is longer than {most:,} characters, so it is not what its name says")
    return text


def read_json(path: Path, most: int = SMALL) -> dict[str, Any]:
    """A JSON object from a file. All files of JSON that come with a model are read here.

    Raises:
        ModelError: as `read_text`; or the file holds something else, a key twice in one object, more than `DEEPEST`
            levels, or half a character.
    """
    text = read_text(path, most)
    try:
        value = json.loads(text, object_pairs_hook=_object)
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is in no UTF-8
    except RecursionError:
        raise ModelError(f"{path}: is nested more than {DEEPEST} levels deep") from None
    except UnicodeEncodeError as error:
        half = ord(error.object[error.start])
        raise ModelError(f"{path}: not valid JSON (half of a surrogate pair, \\u{half:x})") from error
    except ValueError as error:
        raise ModelError(f"{path}: not valid JSON ({said(error)})") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: must hold a JSON object, not {type(value).__name__}")
    if _depth(value) > DEEPEST:
        raise ModelError(f"{path}: is nested more than {DEEPEST} levels deep")
    return value


def read_json_if_present(path: Path, most: int = SMALL) -> dict[str, Any]:
    """As `read_json`, or `{}` where there is no such file."""
    return read_json(path, most) if present(path) else {}


def shown(value: Any) -> str:
    """A value of a file for a message: its first 200 characters."""
    return _cut(repr(value))


def said(error: BaseException) -> str:
    """What an error of another library says, for a message: the first 200 characters of its first line."""
    return _cut((str(error).strip().splitlines() or [type(error).__name__])[0])


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys differ: of two equal ones, readers take this or that."""
    found = dict(pairs)
    if len(found) < len(pairs):
        # a dict keeps the last pair of a key: the first that it did not keep has a second one
        last = {name: at for at, (name, _) in enumerate(pairs)}
        twice = next(name for at, (name, _) in enumerate(pairs) if last[name] != at)
        raise ValueError(f"the key {twice!r:.80} is there twice")
    return found


def _depth(value: Any) -> int:
    """Levels of lists and objects, `DEEPEST + 1` for more."""
    level, depth = [value], 0
    while level and depth <= DEEPEST:
        inside = (node.values() if type(node) is dict else node for node in level)
        level = [child for children in inside for child in children if type(child) in _CONTAINERS]
        depth += 1
    return depth
