"""What setup and teardown would send to a cluster with neural-search and ml-commons: JSON by hand, as nodes took it."""

from __future__ import annotations

import pytest

from sidecar.cluster import ConnectorSpec, IndexSpec, plan_setup, plan_teardown
from sidecar.cluster.connectors import trusted_pattern
from sidecar.cluster.requests import Request, Wait, send_all
from sidecar.errors import EngineRejected, EngineUnavailable, InvalidInput, UnsupportedEngine
from tests.support.dialects import any_model
from tests.unit.cluster.recorded import PLUGINS, recorded

ENDPOINT = "http://10.1.2.3:8080"
CONNECTOR = {
    "name": "splade-sidecar shop documents",
    "description": "Made by sidecar setup. Sparse vectors of documents, for the sparse_encoding ingest processor",
    "version": 1,
    "protocol": "http",
    "parameters": {"endpoint": ENDPOINT, "model": "starter%201"},
    "credential": {"token": "t0ken"},
    "client_config": {"max_retry_times": 5, "retry_backoff_policy": "exponential_full_jitter"},
    "actions": [
        {
            "action_type": "predict",
            "method": "POST",
            "url": "${parameters.endpoint}/ml-commons/sparse/document?model=${parameters.model}",
            "headers": {"Content-Type": "application/json", "Authorization": "Bearer ${credential.token}"},
            "request_body": '{ "texts": ${parameters.input} }',
        }
    ],
}
TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE = "plugins.ml_commons.connector.private_ip_enabled"
NORMALIZATION = {
    "normalization-processor": {
        "normalization": {"technique": "min_max"},
        "combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.5, 0.5]}},
    }
}
MADE = [
    ("PUT", "/shop"),
    ("PUT", "/_cluster/settings"),
    ("POST", "/_plugins/_ml/connectors/_create"),
    ("POST", "/_plugins/_ml/models/_register?deploy=true"),
    ("GET", "/_plugins/_ml/tasks/${document_task_id}"),
    ("POST", "/_plugins/_ml/connectors/_create"),
    ("POST", "/_plugins/_ml/models/_register?deploy=true"),
    ("GET", "/_plugins/_ml/tasks/${query_task_id}"),
    ("PUT", "/_ingest/pipeline/splade-sidecar-shop"),
    ("PUT", "/_search/pipeline/splade-sidecar-shop"),
]

EMPTY = {"POST /shop/_refresh": {}, "POST /shop/_count": {"count": 0}}


def spec(**more: object) -> IndexSpec:
    return IndexSpec("shop", any_model("starter 1"), **more)


def connected(**more: object) -> IndexSpec:
    return spec(connector=ConnectorSpec(f"{ENDPOINT}/", "t0ken"), **more)


async def test_neural_sparse_is_taken_and_gets_a_search_pipeline() -> None:
    async with recorded() as (engine, _):
        plan = await plan_setup(engine, spec())
    assert plan.reasons[0] == "neural_sparse: OpenSearch 3.4.0: its neural-search plugin takes ready tokens."
    index, pipeline = plan.requests
    assert index.body["mappings"]["properties"]["splade"] == {"type": "rank_features"}
    assert index.body["mappings"]["_meta"]["splade_sidecar_setup"]["search_pipeline"] == "splade-sidecar-shop"
    assert (pipeline.method, pipeline.path) == ("PUT", "/_search/pipeline/splade-sidecar-shop")
    assert pipeline.body["phase_results_processors"] == [NORMALIZATION]


async def test_a_pipeline_that_is_there_is_not_sent_again() -> None:
    async with recorded() as (engine, _):
        body = (await plan_setup(engine, spec())).requests[1].body
    async with recorded({"GET /_search/pipeline/splade-sidecar-shop": {"splade-sidecar-shop": body}}) as (engine, _):
        assert [request.path for request in (await plan_setup(engine, spec())).requests] == ["/shop"]


@pytest.mark.parametrize(
    ("index", "escaped"), [("продукты", "%D0%BF%D1%80%D0%BE%D0%B4%D1%83%D0%BA%D1%82%D1%8B"), ("a%b", "a%25b")]
)
async def test_names_that_a_path_can_not_hold_are_escaped(index: str, escaped: str) -> None:
    named = IndexSpec(index, any_model(), template=f"{index}-*")
    async with recorded() as (engine, _):
        plan = await plan_setup(engine, named)
    pipeline, template = (request for request in plan.requests if "splade-sidecar" in request.path)
    assert (pipeline.path, template.path) == (
        f"/_search/pipeline/splade-sidecar-{escaped}",
        f"/_index_template/splade-sidecar-{escaped}",
    )
    meta = plan.requests[0].body["mappings"]["_meta"]
    answers = {
        f"GET /{index}/_mapping": {index: {"mappings": {"_meta": meta}}},
        f"POST /{index}/_refresh": {},
        f"POST /{index}/_count": {"count": 0},
        f"GET /_search/pipeline/splade-sidecar-{index}": {f"splade-sidecar-{index}": pipeline.body},
        f"GET /_index_template/splade-sidecar-{index}": {"index_templates": [{}]},
    }
    async with recorded(answers) as (engine, _):
        gone = [request.path for request in (await plan_teardown(engine, index)).requests]
        assert "/_search/pipeline" not in str((await plan_setup(engine, IndexSpec(index, any_model()))).requests)
    assert gone[:2] == [template.path, pipeline.path]


async def test_a_data_stream_is_told_of_its_next_index() -> None:
    name = ".ds-logs-000001"
    mapping = {name: {"mappings": {"properties": {"content": {"type": "text"}, "title": {"type": "text"}}}}}
    answers = {"GET /logs/_mapping": mapping, f"POST /{name}/_count": {"count": 0}}
    async with recorded(answers) as (engine, _):
        plan = await plan_setup(engine, IndexSpec("logs", any_model(), source_fields=("title",)))
    assert (plan.index, plan.creates) == (name, False)
    assert "the stream's own template" in plan.reasons[-1]


async def test_seismic_as_a_live_node_takes_it() -> None:
    async with recorded() as (engine, _):
        plan = await plan_setup(engine, spec(dialect="seismic", largest_weight=4.0))
    body = plan.requests[0].body
    assert body["settings"]["index"]["sparse"] is True
    assert body["mappings"]["properties"]["splade"] == {
        "type": "sparse_vector",
        "method": {
            "name": "seismic",
            "parameters": {
                "approximate_threshold": 1_000_000,
                "quantization_ceiling_ingest": 4.4,
                "quantization_ceiling_search": 16.0,
            },
        },
    }
    assert body["mappings"]["properties"]["splade_model"] == {"type": "keyword"}


async def test_a_vocabulary_too_large_for_seismic() -> None:
    large = IndexSpec("shop", any_model(vocabulary_size=105_879), dialect="seismic")
    async with recorded() as (engine, _):
        with pytest.raises(InvalidInput, match="105879"):
            await plan_setup(engine, large)


@pytest.mark.parametrize("sparse", [None, "false", "true"])
async def test_an_index_that_exists_is_seismic_only_with_its_setting(sparse: str | None) -> None:
    settings = {} if sparse is None else {"index.sparse": sparse}
    answers = {
        "GET /shop/_mapping": {"shop": {"mappings": {"properties": {"content": {"type": "text"}}}}},
        "GET /shop/_settings": {"shop": {"settings": settings}},
        "POST /shop/_count": {"count": 0},
    }
    async with recorded(answers) as (engine, _):
        if sparse == "true":
            assert (await plan_setup(engine, spec(dialect="seismic"))).requests[0].path == "/shop/_mapping"
        else:
            with pytest.raises(InvalidInput, match=r"index\.sparse"):
                await plan_setup(engine, spec(dialect="seismic"))


async def test_everything_that_a_connector_needs_in_order() -> None:
    async with recorded() as (engine, cluster):
        plan = await plan_setup(engine, connected())
        assert {method for method, path, _ in cluster.asked if "_search" not in path} == {"GET"}
    assert [(request.method, request.path) for request in plan.requests] == MADE
    bodies = [request.body for request in plan.requests]
    trusted = ["^https://api\\.openai\\.com/.*$", "^http://10\\.1\\.2\\.3:8080/.*$"]
    assert bodies[1] == {"persistent": {TRUSTED: trusted, PRIVATE: True}}
    assert bodies[2] == CONNECTOR
    assert bodies[3] == {
        "name": "splade-sidecar shop documents",
        "function_name": "remote",
        "description": "Made by sidecar setup",
        "connector_id": "${document_connector_id}",
    }
    assert bodies[5]["actions"][0]["url"].startswith("${parameters.endpoint}/ml-commons/sparse/query?")
    encoder = {"model_id": "${document_model_id}", "field_map": {"splade_text": "splade"}, "batch_size": 16}
    assert bodies[8]["processors"][1] == {"sparse_encoding": encoder}
    assert bodies[9]["request_processors"] == [{"neural_query_enricher": {"default_model_id": "${query_model_id}"}}]
    record = bodies[0]["mappings"]["_meta"]["splade_sidecar_setup"]
    assert record["cluster_settings"] == {
        TRUSTED: {"before": None, "after": trusted},
        PRIVATE: {"before": None, "after": True},
    }


async def test_seismic_asks_the_sidecar_for_term_ids() -> None:
    async with recorded() as (engine, _):
        bodies = [request.body for request in (await plan_setup(engine, connected(dialect="seismic"))).requests]
    wanted = '{ "texts": ${parameters.input}, "sparse_embedding_format": "token_id" }'
    assert bodies[2]["actions"][0]["request_body"] == wanted
    assert bodies[8]["processors"][2]["script"]["params"]["model_field"] == "splade_model"


async def test_the_ids_of_answers_go_where_they_are_needed() -> None:
    acknowledged = {"acknowledged": True}
    answers = {
        "PUT /shop": acknowledged,
        "PUT /_cluster/settings": acknowledged,
        "POST /_plugins/_ml/connectors/_create": [{"connector_id": "c1"}, {"connector_id": "c2"}],
        "POST /_plugins/_ml/models/_register": [{"task_id": "t1", "status": "CREATED"}, {"task_id": "t2"}],
        "GET /_plugins/_ml/tasks/t1": [{"state": "RUNNING"}, {"state": "COMPLETED", "model_id": "m1"}],
        "GET /_plugins/_ml/tasks/t2": {"state": "COMPLETED", "model_id": "m2"},
        "PUT /_ingest/pipeline/splade-sidecar-shop": acknowledged,
        "PUT /_search/pipeline/splade-sidecar-shop": acknowledged,
    }
    async with recorded(answers) as (engine, cluster):
        plan = await plan_setup(engine, connected())
        cluster.asked.clear()
        await plan.apply(engine)
        sent = {(method, path): body for method, path, body in cluster.asked}
        registered = [body for _, path, body in cluster.asked if "_register" in path]
    assert [body["connector_id"] for body in registered] == ["c1", "c2"]
    pipeline = sent["PUT", "/_ingest/pipeline/splade-sidecar-shop"]
    assert pipeline["processors"][1]["sparse_encoding"]["model_id"] == "m1"
    search = sent["PUT", "/_search/pipeline/splade-sidecar-shop"]
    assert search["request_processors"] == [{"neural_query_enricher": {"default_model_id": "m2"}}]
    assert sent["POST", "/_plugins/_ml/connectors/_create"]["actions"][0]["request_body"].startswith('{ "texts": ${')


async def test_models_that_are_there_are_not_made_again() -> None:
    found = {"hits": {"hits": [{"_id": "m9"}]}}
    trusting = {"persistent": {TRUSTED: [trusted_pattern(ENDPOINT)], PRIVATE: "true"}}
    answers = {"POST /_plugins/_ml/models/_search": found, "GET /_cluster/settings": trusting}
    async with recorded(answers) as (engine, _):
        requests = (await plan_setup(engine, connected())).requests
    assert [request.path for request in requests] == [MADE[0][1], MADE[8][1], MADE[9][1]]
    assert requests[1].body["processors"][1]["sparse_encoding"]["model_id"] == "m9"


@pytest.mark.parametrize(
    ("plugins", "more", "error", "words"),
    [
        ({"nodes": {"a": {"plugins": []}}}, {}, UnsupportedEngine, "ml-commons"),
        (PLUGINS, {"dialect": "rank_features"}, InvalidInput, "neural_sparse"),
    ],
)
async def test_where_a_connector_is_impossible(plugins: dict, more: dict, error: type, words: str) -> None:
    async with recorded({"GET /_nodes/plugins": plugins}) as (engine, _):
        with pytest.raises(error, match=words):
            await plan_setup(engine, connected(**more))


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3:8080", "ftp://x", "http://", "http://u:p@x", "http://x?a=b", "http://[::1:8080", "http://x:y"],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InvalidInput):
        ConnectorSpec(address)


def test_a_token_is_never_shown() -> None:
    assert "t0ken" not in repr(ConnectorSpec(ENDPOINT, "t0ken"))


async def test_teardown_takes_everything_back() -> None:
    async with recorded() as (engine, _):
        meta = (await plan_setup(engine, connected())).requests[0].body["mappings"]["_meta"]
    after = meta["splade_sidecar_setup"]["cluster_settings"]
    mapping = {"shop": {"mappings": {"_meta": meta}}}
    answers = {
        "GET /shop/_mapping": mapping,
        "GET /%2A/_mapping": mapping,
        "GET /*/_mapping": mapping,
        **EMPTY,
        "GET /_search/pipeline/splade-sidecar-shop": {"splade-sidecar-shop": {}},
        "GET /_ingest/pipeline/splade-sidecar-shop": {"splade-sidecar-shop": {}},
        "POST /_plugins/_ml/models/_search": {"hits": {"hits": [{"_id": "m1"}]}},
        "POST /_plugins/_ml/connectors/_search": {"hits": {"hits": [{"_id": "c1"}]}},
        "GET /_cluster/settings": {"persistent": {TRUSTED: [*after[TRUSTED]["after"], "^other$"], PRIVATE: "true"}},
    }
    async with recorded(answers) as (engine, _):
        plan = await plan_teardown(engine, "shop")
    assert [(request.method, request.path) for request in plan.requests] == [
        ("DELETE", "/_search/pipeline/splade-sidecar-shop"),
        ("DELETE", "/_ingest/pipeline/splade-sidecar-shop"),
        *[
            ("POST", "/_plugins/_ml/models/m1/_undeploy"),
            ("DELETE", "/_plugins/_ml/models/m1"),
            ("DELETE", "/_plugins/_ml/connectors/c1"),
        ]
        * 2,
        ("PUT", "/_cluster/settings"),
        ("DELETE", "/shop"),
    ]
    kept = ["^https://api\\.openai\\.com/.*$", "^other$"]
    assert plan.requests[-2].body == {"persistent": {TRUSTED: kept, PRIVATE: None}}


async def test_settings_that_another_index_needs_stay() -> None:
    async with recorded() as (engine, _):
        meta = (await plan_setup(engine, connected())).requests[0].body["mappings"]["_meta"]
    both = {name: {"mappings": {"_meta": meta}} for name in ("shop", "other")}
    answers = {"GET /shop/_mapping": {"shop": both["shop"]}, "GET /*/_mapping": both, **EMPTY}
    async with recorded(answers) as (engine, _):
        plan = await plan_teardown(engine, "shop")
    assert "/_cluster/settings" not in [request.path for request in plan.requests]
    assert "other has a connector too" in plan.left[0]


async def test_settings_that_another_index_may_need_stay() -> None:
    async with recorded() as (engine, _):
        meta = (await plan_setup(engine, connected())).requests[0].body["mappings"]["_meta"]
    own = {"shop": {"mappings": {"_meta": meta}}}
    answers = {"GET /shop/_mapping": own, "GET /*/_mapping": 403, **EMPTY}
    async with recorded(answers) as (engine, _):
        plan = await plan_teardown(engine, "shop")
    assert "/_cluster/settings" not in [request.path for request in plan.requests]
    assert "other indices may need them" in plan.left[0]


async def test_a_task_that_fails_ends_the_wait() -> None:
    waiting = Request("GET", "/task", wait=Wait("state", "COMPLETED", ("FAILED",), seconds=0.0))
    async with recorded({"GET /task": {"state": "FAILED"}}) as (engine, _):
        with pytest.raises(EngineRejected, match="FAILED"):
            await send_all(engine, [waiting])
    async with recorded({"GET /task": {"state": "RUNNING"}}) as (engine, _):
        with pytest.raises(EngineUnavailable, match="COMPLETED"):
            await send_all(engine, [waiting])


async def test_an_answer_without_the_id_is_no_success() -> None:
    async with recorded({"POST /x": {}}) as (engine, _):
        with pytest.raises(EngineRejected, match="connector_id"):
            await send_all(engine, [Request("POST", "/x", {}, {"id": "connector_id"})])
