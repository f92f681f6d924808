"""The quickstart's tasks, tested without Redis and without a worker's processes: ``pytest manifests/samples/quickstart/tests``."""

import hashlib

import pytest
from tasks import checksum, count_words, inventory, wait_for

from umbel.testing import InMemoryWorker


def test_words_are_counted_in_the_background(umbel_worker, tmp_path):
    text = tmp_path / "text"
    text.write_text("one two three")
    assert count_words.delay(str(text)).get(timeout=10) == 3


def test_a_checksum_waits_for_its_file(umbel_app, umbel_clock, tmp_path):
    late = tmp_path / "late"
    result = checksum.delay(str(late))
    worker = InMemoryWorker(umbel_app)
    worker.run()
    assert result.state == "RETRY"
    late.write_bytes(b"here")
    umbel_clock.advance(2)  # a retry comes within the second of default_retry_delay
    worker.run()
    assert result.get(timeout=0) == hashlib.sha256(b"here").hexdigest()


def test_a_file_that_never_comes_is_an_error(umbel_app, umbel_clock, tmp_path):
    result = checksum.delay(str(tmp_path / "never"))
    worker = InMemoryWorker(umbel_app)
    for _ in range(1 + checksum.max_retries):
        worker.run()
        umbel_clock.advance(2)
    with pytest.raises(FileNotFoundError):
        result.get(timeout=0)


def test_who_calls_sends_to_the_queue_of_the_texts(umbel_sent, tmp_path):
    wait_for.delay(str(tmp_path))
    umbel_sent.assert_sent(wait_for, (str(tmp_path),), queue="texts")


def test_an_inventory_counts_files_and_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert inventory(str(tmp_path)) == {"files": 1, "bytes": 5}
