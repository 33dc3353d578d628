"""Requests made from the server's own description: right ones, and wrong ones.

benchmarks/bench_service.py makes thousands of them, over TLS.
"""

from collections import Counter

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("schemathesis", reason="the extra test is not installed")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from sklearn_causalrec.serving import AuditLog, KeyRing, ModelHost, create_app
from sklearn_causalrec.serving.server.keys import SCOPES, make_key

# That a request follows the schema does not mean that it can be answered: ids may be of
# another kind than the log's. So it is not checked whether it is refused.
NAMES = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_is_a_fault_of_the_server(served, tmp_path, mode):
    key, _ = make_key(tmp_path / "keys", "all", SCOPES)
    options = dict(keys=KeyRing(tmp_path / "keys"), audit=AuditLog(tmp_path / "audit"))
    app = create_app(ModelHost(served.files[0]), **options)
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app)
    checks, statuses = CHECKS.get_by_names(NAMES), Counter()
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == 7
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
            continue  # there is nothing to get wrong

        @settings(
            max_examples=6,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def asked(case):
            answer = case.call(headers={"Authorization": f"Bearer {key}"})
            statuses[answer.status_code] += 1
            case.validate_response(answer, checks=checks)

        asked()
    assert max(statuses) < 500
    if mode is GenerationMode.NEGATIVE:
        assert statuses[422] > 10
    else:
        assert statuses[200] > 8
