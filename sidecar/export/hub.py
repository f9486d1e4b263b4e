"""Fetching checkpoints from the Hugging Face hub, into its own cache.

huggingface_hub does the talking, so its environment counts: `HF_ENDPOINT`, `HF_TOKEN` (or a stored login),
`HF_HUB_OFFLINE`, `HF_HOME`. What fails becomes a HubError that says what to do next.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sidecar.bundle.catalogue import find_known
from sidecar.errors import HubError

__all__ = ["HubCheckpoint", "HubReference", "fetch_card", "fetch_checkpoint"]

CARD_FILES = ("README.md",)
CHECKPOINT_FILES = (
    "README.md",
    "LICENSE*",
    "*.json",
    "*.safetensors",
    "*vocab.txt",
    "*merges.txt",
    "*sentencepiece.bpe.model",
    "*spiece.model",
)
"""What an export reads. Pickled weights come only where there are no others."""

OTHER_RUNTIMES = ("onnx/*", "openvino/*", "coreml/*", "*/onnx/*", "*/openvino/*")
PICKLED_WEIGHTS = ("*pytorch_model*.bin", "*pytorch_model*.bin.index.json")

LOCAL = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
"""What this machine's own disk answers, and no network does."""

TRANSPORTS = ("httpcore", "httpx", "httpx2")
"""Packages that huggingface_hub sends requests by; what they raise is neither its own nor an OSError."""

_REFERENCE = re.compile(r"^(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[^\s@]+))?$")


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository on the hub, and a branch, tag or commit of it (None: the default branch)."""

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubReference:
        """Read `repository[@revision]`; a catalogue model may be named by its last part alone. Raises HubError."""
        name, _, revision = text.removeprefix("hf:").partition("@")
        known = find_known(name)
        if known is not None:
            name = known.repository
        match = _REFERENCE.match(f"{name}@{revision}" if revision else name)
        if match is None:
            raise HubError(
                f"{text!r} names no repository: owner/name, owner/name@revision, or a name of the catalogue "
                "(`sidecar models list --catalogue`)."
            )
        return cls(match["repository"], match["revision"])

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}" if self.revision else self.repository


@dataclass(frozen=True, slots=True)
class HubCheckpoint:
    """A checkpoint in the local cache: its folder, and the commit that it is."""

    repository: str
    commit: str
    folder: Path

    @property
    def source(self) -> str:
        """What a manifest says about where the weights come from."""
        return f"hf:{self.repository}@{self.commit}"


def fetch_card(reference: HubReference) -> HubCheckpoint:
    """Fetch only the model card: enough to know the commit and the licence. Raises HubError."""
    return _snapshot(reference, CARD_FILES)


def fetch_checkpoint(reference: HubReference) -> HubCheckpoint:
    """Fetch what an export needs of the checkpoint, safetensors preferred. Raises HubError."""
    checkpoint = _snapshot(reference, CHECKPOINT_FILES)
    if not _has_weights(checkpoint.folder):
        pinned = HubReference(reference.repository, checkpoint.commit)
        checkpoint = _snapshot(pinned, (*CHECKPOINT_FILES, *PICKLED_WEIGHTS))
    return checkpoint


def _has_weights(folder: Path) -> bool:
    # The safetensors file of a query-side IDF table is not the encoder's weights.
    found = folder.rglob("*.safetensors")
    return any("Static" not in path.parent.name and "IDF" not in path.parent.name for path in found)


def _snapshot(reference: HubReference, patterns: Sequence[str]) -> HubCheckpoint:
    from huggingface_hub import snapshot_download

    with _hub_errors(reference):
        folder = snapshot_download(
            reference.repository,
            revision=reference.revision,
            allow_patterns=list(patterns),
            ignore_patterns=list(OTHER_RUNTIMES),
            library_name="splade-sidecar",
        )
    path = Path(folder)
    return HubCheckpoint(reference.repository, path.name, path)


@contextmanager
def _hub_errors(reference: HubReference) -> Iterator[None]:
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise HubError(
            f"{reference.repository} is gated: accept its conditions on its page on the hub, "
            "then log in (`hf auth login`) or set HF_TOKEN to a token of that account."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"The hub has no repository {reference.repository}, or it is private: check the name, "
            "and set HF_TOKEN if it needs one."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(f"{reference.repository} has no revision {reference.revision}: check the name.") from error
    except errors.HFValidationError as error:
        raise HubError(f"{reference.repository!r} is no name of a repository on the hub.") from error
    except errors.LocalEntryNotFoundError as error:
        # Raised for whatever kept it from asking the hub, once the cache could not help: the cause says which.
        cause = error.__cause__
        answered = isinstance(cause, errors.HfHubHTTPError)
        raise HubError(_refused(reference, _status(cause)) if answered else _unreachable(reference)) from error
    except errors.HfHubHTTPError as error:
        raise HubError(_refused(reference, _status(error))) from error
    except OSError as error:
        local = error.errno in LOCAL
        raise HubError(_unwritable(error) if local else _unreachable(reference)) from error
    except UnicodeEncodeError:
        # Its text may hold the token.
        raise HubError("HF_TOKEN has characters that no token has: set it anew, or remove it.") from None
    except Exception as error:
        # ValueError: an address that can't be taken apart.
        if not isinstance(error, ValueError) and type(error).__module__.partition(".")[0] not in TRANSPORTS:
            raise
        # Its text may hold the token, or a proxy's password.
        raise HubError(_broken(reference, type(error).__name__)) from None


def _status(error: BaseException | None) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _refused(reference: HubReference, status: int | None) -> str:
    if status in (401, 403):
        return (
            f"The hub refused access to {reference.repository} ({status}): set HF_TOKEN to a token that may read it, "
            "or remove one that has expired."
        )
    return f"The hub answered {status} for {reference.repository}: try again later."


def _unwritable(error: OSError) -> str:
    from huggingface_hub import constants

    return (
        f"The hub's cache ({constants.HF_HUB_CACHE}) can't be written ({error.strerror}): make room, or set HF_HOME to "
        "a folder that can."
    )


def _broken(reference: HubReference, what: str) -> str:
    from huggingface_hub import constants

    return (
        f"Talking to the hub at {constants.ENDPOINT} about {reference} failed ({what}): check HF_ENDPOINT, which "
        "begins with https://, HF_TOKEN, and the proxy that HTTPS_PROXY names, and try again; files that are complete "
        "are not fetched twice."
    )


def _unreachable(reference: HubReference) -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return (
            f"{reference} is not in the cache ({constants.HF_HUB_CACHE}), and HF_HUB_OFFLINE is set: "
            "unset it, or copy the cache from a machine that has it."
        )
    return (
        f"The hub at {constants.ENDPOINT} can't be reached, and {reference} is not in the cache "
        f"({constants.HF_HUB_CACHE}): check the network, or set HF_ENDPOINT to a mirror."
    )
