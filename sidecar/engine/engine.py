"""`Engine`: what this package asks of a search cluster, OpenSearch or Elasticsearch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Self

from sidecar.domain import JsonObject, JsonValue
from sidecar.engine.access import CONNECTIONS, Access
from sidecar.engine.aws import DOMAINS, AwsSigning
from sidecar.engine.bulk import BulkAction, BulkItem
from sidecar.engine.bulk_writer import BulkPolicy, BulkWriter
from sidecar.engine.checkpoints import CHECKPOINT_FILTER, Checkpoints
from sidecar.engine.connection import NOT_FOUND, Connection
from sidecar.engine.dialect import Dialect, dialect_for
from sidecar.engine.exact_json import to_json
from sidecar.engine.frequencies import CollectionFrequencies
from sidecar.engine.load import LOAD_FILTER, LOAD_PATH, ClusterLoad
from sidecar.engine.mappings import Mappings
from sidecar.engine.meta import IndexMeta
from sidecar.engine.names import require_new_name, require_one_name
from sidecar.engine.refreshing import Refresher
from sidecar.engine.responses import SearchResponse, shards_unread
from sidecar.engine.scan import Scan, ScanSpec, result_window
from sidecar.engine.stored import StoredDocument, multi_get, source_of
from sidecar.engine.transport import Transport, path_of
from sidecar.engine.versions import ClusterInfo
from sidecar.errors import EngineRejected, EngineUnavailable, IndexNotFound, InvalidInput

__all__ = ["Engine"]


class Engine(Connection):
    """A connection to one cluster; made by `connect`, closed by `close` or as an async context manager.

    Every method raises an EngineError: EngineUnavailable (nobody answers, 503, too late), EngineOverloaded (429),
    EngineRejected (the request is wrong, or not allowed), IndexNotFound.

    Usage:
        async with await Engine.connect("http://127.0.0.1:9200") as engine:
            answer = await engine.search("articles", {"query": {"match": {"text": "sparse"}}})
    """

    def __init__(self, transport: Transport, info: ClusterInfo, dialect: Dialect, policy: BulkPolicy) -> None:
        super().__init__(transport, info)
        self.dialect = dialect
        self._preference: str | None = None
        # What Serverless makes of a write that requires an alias nobody has tried.
        guarded = info.knows_require_alias and not transport.serverless
        self._bulk = BulkWriter(transport, policy, guarded=guarded)
        self._mappings = Mappings(transport)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        api_key: str | None = None,
        ca_certificates: Path | None = None,
        client_certificate: Path | None = None,
        client_key: Path | None = None,
        verify_certificates: bool = True,
        timeout: float = 10.0,
        connections: int = CONNECTIONS,
        bulk: BulkPolicy | None = None,
        aws_region: str | None = None,
        aws_service: str = DOMAINS,
    ) -> Engine:
        """Connect and learn what answers; raise UnsupportedEngine where it is no cluster, or no dialect fits it.

        `url` may list several nodes, joined by commas. `timeout` is the seconds a request may take by default,
        `connections` how many requests a node gets at once: others wait their turn. With `aws_region`, every request is
        signed for that region of AWS and for `aws_service` (`es`, `aoss`).
        """
        transport = Transport(
            Access(
                url,
                user=user,
                password=password,
                api_key=api_key,
                ca_certificates=ca_certificates,
                client_certificate=client_certificate,
                client_key=client_key,
                verify_certificates=verify_certificates,
                timeout=timeout,
                connections=connections,
                aws=AwsSigning.of(aws_region, aws_service),
            )
        )
        try:
            info = ClusterInfo.parse(await transport.root())
            return cls(transport, info, dialect_for(info), bulk or BulkPolicy(timeout=max(60.0, timeout)))
        except BaseException:
            await transport.close()
            raise

    def preferring(self, preference: str) -> Self:
        """Return this connection with a `preference` in every search by it: which copies of the shards answer.

        The same copies answer each search that has the same string, a session's id for instance; those that begin with
        `_` (`_local`, `_only_nodes:…`) are the cluster's own. The two connections are one: closing either closes both.
        Raises InvalidInput for an empty string.
        """
        if not preference.strip():
            raise InvalidInput("A preference is a string that is not empty, as a session's id.", field="preference")
        other = copy(self)
        other._preference = preference
        return other

    @property
    def search_parameters(self) -> Mapping[str, str]:
        """What a `_search` of this connection has in its URL."""
        return {} if self._preference is None else {"preference": self._preference}

    @property
    def refresher(self) -> Refresher:
        """Makes what several requests wrote searchable at once."""
        return self._bulk.refresher

    def forget(self, index: str) -> None:
        """Read the index's mapping again before it is searched next."""
        self._mappings.forget(index)

    async def search(self, index: str, body: JsonObject, timeout: float | None = None) -> SearchResponse:
        """Run one search. Vectors and hashes are left out of every hit, whatever the body's `_source` says."""
        lean = await self._mappings.without_vectors(index, body, timeout)
        return SearchResponse.parse(
            await self._transport.read(
                "POST", path_of(index, "_search"), lean, parameters=self.search_parameters, timeout=timeout
            )
        )

    async def multi_search(
        self, index: str, bodies: Sequence[JsonObject], timeout: float | None = None
    ) -> tuple[SearchResponse, ...]:
        """Run several searches in one request, answers in the order of `bodies`; raises for the first that failed."""
        if not bodies:
            return ()
        lean = [await self._mappings.without_vectors(index, body, timeout) for body in bodies]
        head = to_json(dict(self.search_parameters))
        lines = b"".join(head + b"\n" + to_json(body) + b"\n" for body in lean)
        answer = await self._transport.read("POST", path_of(index, "_msearch"), lines, timeout=timeout)
        return SearchResponse.parse_each(answer, bodies)

    async def bulk(self, actions: Sequence[BulkAction], *, refresh: bool = False) -> tuple[BulkItem, ...]:
        """Write every action, with retries; return one item for each, in order. Never raises for a cluster's doing.

        An index that is not there is not made (but by Elasticsearch before 7.10, and OpenSearch Serverless).
        """
        return await self._bulk.write(actions, refresh=refresh)

    async def index_meta(self, index: str, fingerprint: str | None = None) -> IndexMeta:
        """Return what the index (or all indices behind the alias) says about itself; arguments as `index_record`.

        Raises IndexNotFound, IndexNotPrepared, and FingerprintMismatch where an alias mixes models.
        """
        return (await self.index_record(index, fingerprint))[0]

    async def index_record(
        self, index: str, fingerprint: str | None = None, *, timeout: float | None = None
    ) -> tuple[IndexMeta, CollectionFrequencies | None]:
        """Return what `index_meta` returns, and the collection's document frequencies where they were counted.

        `fingerprint` names one of the two models that an index has while it is migrated; None: the one that is
        searched. Of several indices behind an alias, those with the largest sample speak for all. Raises as
        `index_meta`.
        """
        return await self._mappings.record(index, fingerprint, timeout)

    def holders(self, index: str, meta: IndexMeta) -> frozenset[str]:
        """Return the indices that a name stood for when its record `meta` was read last; none where it never was."""
        return self._mappings.holders(index, meta)

    def text_fields(self, index: str, meta: IndexMeta) -> frozenset[str]:
        """Return the fields that hold the encoded text and are searched by words, when the record was read last."""
        return self._mappings.text_fields(index, meta)

    def field_types(self, index: str, meta: IndexMeta) -> Mapping[str, frozenset[str]]:
        """Return the types that each field has in the indices behind a name, when the record was read last."""
        return self._mappings.field_types(index, meta)

    async def hidden_fields(self, index: str, *, timeout: float | None = None) -> tuple[str, ...]:
        """Return the fields that no answer to a search carries; they are remembered as long as the record."""
        return await self._mappings.hidden(index, timeout)

    async def mappings(self, index: str) -> dict[str, JsonObject]:
        """Return the mapping of each concrete index behind a name."""
        return await self._mappings.read(index)

    async def create_index(self, index: str, body: JsonObject) -> None:
        """Create an index; raises EngineRejected where it exists, InvalidInput where it can't be called so."""
        require_new_name(index)
        self._mappings.forget(index)
        await self._transport.send("PUT", path_of(index), body, timeout=60.0)

    async def put_mapping(self, index: str, body: JsonObject) -> None:
        """Add fields and `_meta` to the mapping of an index; raises InvalidInput for a name that may mean several."""
        require_one_name(index)
        self._mappings.forget(index)
        await self._transport.send("PUT", path_of(index, "_mapping"), body, timeout=60.0)

    async def index_exists(self, index: str) -> bool:
        """Return whether an index or alias of that name exists."""
        try:
            await self.mappings(index)
        except IndexNotFound:
            return False
        return True

    async def delete_index(self, index: str, *, missing_ok: bool = False) -> None:
        """Delete an index, its documents with it; raises InvalidInput for a name that may mean several."""
        require_one_name(index)
        self._mappings.forget(index)
        try:
            await self._transport.send("DELETE", path_of(index), timeout=60.0)
        except IndexNotFound:
            if not missing_ok:
                raise

    async def refresh(self, index: str) -> None:
        """Make what was written searchable."""
        await self._transport.send("POST", path_of(index, "_refresh"), timeout=60.0)

    async def force_merge(self, index: str, segments: int = 1) -> None:
        """Merge an index down to so many segments per shard; for measurements, on an index that rests."""
        await self._transport.send(
            "POST", path_of(index, "_forcemerge"), parameters={"max_num_segments": str(segments)}, timeout=600.0
        )

    async def count(self, index: str, query: JsonObject | None = None) -> int:
        """Return how many documents match `query` (all, where None).

        Raises EngineUnavailable where the cluster did not count in all shards: who takes the rest for all deletes what
        is not there twice.
        """
        answer = await self._transport.read("POST", path_of(index, "_count"), {"query": query or {"match_all": {}}})
        counted = answer.get("count")
        if shards_unread(answer) or not isinstance(counted, int):
            raise EngineUnavailable(
                f"The cluster did not count in all shards of {index}: see `GET /_cat/shards/{index}`."
            )
        return counted

    async def get(self, index: str, document_id: str) -> JsonObject | None:
        """Return a document's whole `_source`, the vector included; None where there is none of that id."""
        try:
            answer = await self.read("GET", path_of(index, "_doc", document_id))
        except EngineRejected as error:
            if error.status == NOT_FOUND:
                return None
            raise
        source = answer.get("_source")
        return source if isinstance(source, Mapping) else None

    def scan(self, spec: ScanSpec) -> Scan:
        """Return a scan of every document that matches; it reads nothing before it is entered."""
        return Scan(self._transport, self.info, spec)

    async def stored(
        self, documents: Sequence[StoredDocument], fields: Sequence[str]
    ) -> tuple[StoredDocument | None, ...]:
        """Read documents again, as they are now, refreshed or not; None for one that is gone. In the order given."""
        return await multi_get(
            self._transport, [(one.index, one.id, one.routing) for one in documents], source_of(fields)
        )

    async def whole(self, index: str, documents: Sequence[StoredDocument]) -> tuple[StoredDocument | None, ...]:
        """Read the documents of the same ids in `index`, as they are now, with all that they have."""
        return await multi_get(self._transport, [(index, one.id, one.routing) for one in documents], True)

    async def result_window(self, index: str) -> int | None:
        """Return how many documents one search of the index may fetch; None: as many as the cluster lets every index.

        Raises EngineRejected where this user may not see settings.
        """
        return await result_window(self._transport, index)

    async def load(self) -> ClusterLoad:
        """Return how busy the cluster is; raises EngineRejected where this user may not see it."""
        return ClusterLoad.parse(await self._transport.read("GET", LOAD_PATH, parameters={"filter_path": LOAD_FILTER}))

    async def checkpoints(self, index: str) -> Checkpoints:
        """Return up to where the shards of each index behind a name are written on every copy."""
        parameters = {"level": "shards", "filter_path": CHECKPOINT_FILTER}
        return Checkpoints.parse(await self._transport.read("GET", path_of(index, "_stats"), parameters=parameters))

    async def index_size(self, index: str) -> int:
        """Return the bytes of an index's primary shards on disk."""
        answer = await self._transport.read("GET", path_of(index, "_stats", "store"))
        value: JsonValue = answer
        for key in ("_all", "primaries", "store", "size_in_bytes"):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value if isinstance(value, int) else 0
