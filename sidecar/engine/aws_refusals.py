"""What AWS says in front of a cluster, before the cluster hears of a request: a refusal, and what to do about it.

AWS quotes the request back, path and all, and names whoever asked: of its words, only their kind is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sidecar.errors import EngineRejected

__all__ = ["aws_refusal"]

NEEDS_MENDING = frozenset({400, 401, 403})

_ACTION = re.compile(r"not authorized to perform:? *(?P<action>(es|aoss|opensearch):[A-Za-z]+)")

_ADVICE = (
    (
        "signature we calculated does not match",
        "AWS refuses the signature ({status}): the secret key is not that of the access key, or something between here"
        " and AWS changes host, path or body. Sign for the name that the cluster is reached by.",
    ),
    (
        "should be scoped to",
        "AWS refuses the signature ({status}): it is for another region or service. Give the region that the cluster is"
        " in, and `es` for a domain, `aoss` for OpenSearch Serverless.",
    ),
    (
        "security token included in the request is expired",
        "The credentials for AWS have expired ({status}): renew them where they come from.",
    ),
    (
        "security token included in the request is invalid",
        "AWS does not know the credentials ({status}): check access key and session token.",
    ),
    ("signature expired", "AWS refuses the signature as too old ({status}): set this machine's clock."),
    (
        "signature not yet current",
        "AWS refuses the signature as one of the future ({status}): set this machine's clock.",
    ),
    (
        "user: anonymous",
        "AWS wants a signature ({status}), and the request has none: name the region to sign for, or give the user and"
        " password of the domain's own database.",
    ),
    (
        "missing authentication token",
        "AWS wants a signature ({status}), and the request has none: name the region to sign for.",
    ),
    ("your request:", "OpenSearch Service has closed that request to everybody ({status})."),
)
"""What is in a message, and what is told in its place."""


def aws_refusal(status: int, told: object) -> EngineRejected | None:
    """Return the error of ours for an answer of AWS's own; None for one of a cluster's, or of anybody else's."""
    if status not in NEEDS_MENDING or not isinstance(told, Mapping):
        return None
    advice = _advice(told)
    return None if advice is None else EngineRejected(advice.format(status=status), status=status)


def _advice(told: Mapping[str, object]) -> str | None:
    error = told.get("error")
    if isinstance(error, Mapping) and error.get("type") == "Forbidden":
        return (
            "OpenSearch Serverless refuses the request ({status}) and does not say why: check region and credentials,"
            " that the identity may do aoss:APIAccessAll, and the collection's data access and network policies."
        )
    message = told.get("message", told.get("Message"))
    if error is not None or not isinstance(message, str):
        return None
    found = message.lower()
    for part, advice in _ADVICE:
        if part in found:
            return advice
    action = _ACTION.search(message)
    if action is not None:
        return f"Neither the identity's policies nor the domain's access policy allow {action['action']} ({{status}})."
    return None
