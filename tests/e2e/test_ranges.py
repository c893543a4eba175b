"""Several ranges in one answer, as other people's code reads them: curl, and Python's parser for MIME."""

import email
import email.policy

import pytest

from tests.support.processes import run

CHUNKS = [(0, 9), (500_000, 500_099), (400_000, 400_000), (999_990, 999_999)]
RANGE = ",".join(f"{first}-{last}" for first, last in CHUNKS)


@pytest.fixture
def blob(site_a, random_bytes):
    content = random_bytes(1_000_000)
    return site_a.open.plant_blob("public/ranges", content), content


def parts_of(content_type, body):
    message = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body,
                                       policy=email.policy.HTTP)
    assert not message.defects
    return [(part["Content-Range"], part.get_content()) for part in message.iter_parts()]


def test_python_finds_each_chunk_in_its_place(layover, site_a, blob):
    digest, content = blob
    expected = [(f"bytes {first}-{last}/{len(content)}", content[first:last + 1]) for first, last in CHUNKS]
    for cache in ("MISS", "HIT"):
        answer = layover.get(site_a.name, f"public/ranges/blobs/{digest}", headers={"Range": f"bytes={RANGE}"})
        assert (answer.status, answer.cache, answer.is_whole) == (206, cache, True)
        assert parts_of(answer.headers["Content-Type"], answer.body) == expected
        layover.settle()


def test_curl_takes_such_an_answer_to_its_end(layover, site_a, blob, tmp_path):
    digest, content = blob
    body, head = tmp_path / "body", tmp_path / "head"
    run(["curl", "--silent", "--show-error", "--fail", "--range", RANGE, "--output", body, "--dump-header", head,
         layover.url(site_a.name, f"public/ranges/blobs/{digest}")])
    headers = email.message_from_string(head.read_text().partition("\n")[2])
    assert [part for _, part in parts_of(headers["Content-Type"], body.read_bytes())] == \
        [content[first:last + 1] for first, last in CHUNKS]
