"""Whatever fits the OpenAPI document, or nearly fits it, is answered without a fault of ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from api.app import create_app
from settings import Settings

SITE = "http://sojourn.test"
OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    for result in schemathesis.openapi.from_dict(create_app(Settings(_env_file=None)).openapi()).get_all_operations()
    if isinstance(result, Ok)
    for operation in [result.ok()]
}
a_few_times = hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@a_few_times
@given(data=st.data())
async def test_no_request_that_the_document_allows_is_a_fault_of_ours(
    admin: httpx.AsyncClient, name: str, data: st.DataObject
) -> None:
    sent: dict[str, Any] = data.draw(OPERATIONS[name].as_strategy()).as_transport_kwargs(base_url=SITE)
    target = httpx.URL(SITE).copy_with(raw_path=urlsplit(sent["url"]).path.encode() or b"/")
    body = {"json": sent["json"]} if "json" in sent else {"content": sent.get("data") or b""}
    answer = await admin.request(sent["method"], target, params=sent.get("params") or None, **body)
    assert answer.status_code < 500
