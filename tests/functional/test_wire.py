"""What the HTTP server itself does with a request, which Flask's test client cannot show."""

import pytest

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("status", "path", "content", "media"),
    [
        (415, "/v1/runs", b"{}", "text/csv"),
        (422, "/v1/datasets?no_such_option=1", b"a,b\n1,2\n", "text/csv"),
        (413, "/v1/networks", b" " * 70_000, "application/json"),
        (404, "/v1/nothing", b"x" * 3_000_000, "application/json"),
    ],
)
def test_a_request_refused_unread_does_not_cost_the_next_one_its_connection(service, status, path, content, media):
    for _ in range(30):
        refused = service.client.post(path, content=content, headers={"Content-Type": media})
        assert refused.status_code == status
        assert refused.headers.get("Connection") != "close"
        assert service.client.get("/healthz").status_code == 200


def test_a_body_too_large_to_be_read_to_its_end_is_answered_with_the_end_of_the_connection(service):
    answer = service.client.post("/v1/networks", content=b" " * (9 << 20), headers=JSON)

    assert (answer.status_code, answer.headers["Connection"]) == (413, "close")


def test_a_body_of_no_declared_length_is_read_whole(service):
    answer = service.client.post("/v1/networks", content=iter([b'{"layers"', b": []}"]), headers=JSON)

    assert answer.status_code == 201


def test_a_body_of_no_declared_length_is_refused_past_the_limit(service):
    answer = service.client.post("/v1/networks", content=iter([b" " * 70_000, b'{"layers": []}']), headers=JSON)

    assert answer.status_code == 413
