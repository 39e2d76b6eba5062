"""What the writers make of a server's answers, byte by byte: above all what they must not call acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.lab.data.prover import redis_writer, writer
from tests.lab.data.prover.engine import CannotConnect, Outcome
from tests.lab.data.prover.ledger import ACKNOWLEDGED, INDETERMINATE, REFUSED
from tests.unit.tests_data.fakes import COMMITTED, INSERTED, Postgres, Redis, complete, message, report, serving

CANCELLED = report(b"N", "WARNING", "01000", "die Wartezeit wurde abgebrochen")
ENDED = report(b"N", "WARNING", "57P01", "canceling the wait for synchronous replication and terminating connection")


@pytest.fixture
def postgres() -> Iterator[str]:
    Postgres.insert, Postgres.commit, Postgres.asked = INSERTED, COMMITTED, []
    with serving(Postgres) as address:
        yield address


@pytest.fixture
def redis() -> Iterator[str]:
    Redis.answers, Redis.keys = {}, set()
    with serving(Redis) as address:
        yield address


def row(address: str) -> Outcome:
    """What becomes of one row."""
    sink = writer.Sink.opened(address, writer.Options(sslmode="disable"), "run")
    try:
        return sink.write(1)
    finally:
        sink.close()


def test_a_commit_is_acknowledged_and_says_by_whom(postgres: str) -> None:
    outcome = row(postgres)
    assert (outcome.fate, outcome.generation, outcome.broken) == (ACKNOWLEDGED, "00000007", False)
    assert outcome.server == "10.0.0.1 since 07:00:00.000000"
    assert Postgres.asked == ["BEGIN", "COMMIT"]


def test_a_pooler_is_given_no_settings_of_the_session(postgres: str) -> None:
    """PgBouncer refuses a client that brings settings which it does not keep for each client."""
    row(postgres)
    assert "options" in Postgres.started
    sink = writer.Sink.opened(postgres, writer.Options(sslmode="disable", pooled=True), "run")
    assert sink.write(1).fate == ACKNOWLEDGED
    sink.close()
    assert "application_name" in Postgres.started and "options" not in Postgres.started


@pytest.mark.parametrize("warning", [CANCELLED, ENDED])
def test_a_commit_with_a_warning_is_indeterminate_in_any_language(postgres: str, warning: bytes) -> None:
    Postgres.commit = warning + COMMITTED
    outcome = row(postgres)
    assert outcome.fate == INDETERMINATE
    assert outcome.note.startswith("COMMIT warned: ")


def test_a_mere_notice_takes_nothing_back(postgres: str) -> None:
    Postgres.commit = report(b"N", "NOTICE", "00000", "hello") + COMMITTED
    assert row(postgres).fate == ACKNOWLEDGED


def test_a_warning_to_the_insert_is_none_to_the_commit(postgres: str) -> None:
    Postgres.insert = report(b"N", "WARNING", "01000", "about something else") + INSERTED
    assert row(postgres).fate == ACKNOWLEDGED


def test_a_connection_that_ends_in_the_commit_is_indeterminate(postgres: str) -> None:
    Postgres.commit = None
    outcome = row(postgres)
    assert (outcome.fate, outcome.broken) == (INDETERMINATE, True)
    Postgres.commit = report(b"E", "FATAL", "57P01", "terminating connection")
    sink = writer.Sink.opened(postgres, writer.Options(sslmode="disable"), "run")
    threading.Timer(0.3, sink.abort).start()
    assert sink.write(1).fate == INDETERMINATE
    sink.close()


def test_a_connection_that_ends_before_the_commit_is_a_refusal(postgres: str) -> None:
    Postgres.insert = None
    outcome = row(postgres)
    assert (outcome.fate, outcome.broken) == (REFUSED, True)
    assert "COMMIT" not in Postgres.asked


def test_an_error_that_undid_the_transaction_is_a_refusal(postgres: str) -> None:
    Postgres.commit = report(b"E", "ERROR", "40001", "could not serialize") + message(b"Z", b"I")
    outcome = row(postgres)
    assert (outcome.fate, outcome.note) == (REFUSED, "COMMIT: 40001 translated ERROR:  could not serialize")
    Postgres.commit = complete("ROLLBACK", b"I")
    assert row(postgres).note == "COMMIT was answered with ROLLBACK"


def test_a_server_that_only_reads_is_left(postgres: str) -> None:
    Postgres.insert = message(b"1", b"") + report(b"E", "ERROR", "25006", "read only") + message(b"Z", b"E")
    outcome = row(postgres)
    assert (outcome.fate, outcome.broken) == (REFUSED, True)
    Postgres.insert = message(b"1", b"") + report(b"E", "ERROR", "53100", "no space left") + message(b"Z", b"E")
    outcome = row(postgres)
    assert (outcome.fate, outcome.broken) == (REFUSED, False)


def test_a_commit_that_is_never_answered_ends_when_it_is_given_up(postgres: str) -> None:
    Postgres.commit = b""
    sink = writer.Sink.opened(postgres, writer.Options(sslmode="disable"), "run")
    started = time.monotonic()
    threading.Timer(0.3, sink.abort).start()
    outcome = sink.write(1)
    assert (outcome.fate, outcome.broken) == (INDETERMINATE, True)
    assert time.monotonic() - started < 2
    sink.close()


def key(address: str, replicas: int = 2) -> Outcome:
    sink = redis_writer.Sink.opened(address, redis_writer.Options(tls=False, replicas=replicas), "run")
    try:
        return sink.write(1)
    finally:
        sink.close()


def test_a_key_that_enough_replicas_have(redis: str) -> None:
    outcome = key(redis)
    assert (outcome.fate, outcome.server, outcome.generation) == (ACKNOWLEDGED, "aa", "bb")
    assert Redis.keys == {b"prover:run:1"}
    options = redis_writer.Options(tls=False)
    assert redis_writer.find([redis], options, "run", range(1, 700), patience=5) == {1}


def test_a_key_that_too_few_replicas_have_is_written_but_not_acknowledged(redis: str) -> None:
    outcome = key(redis, replicas=3)
    assert (outcome.fate, outcome.note) == (INDETERMINATE, "WAIT: 2 of 3 replicas")
    assert outcome.written is not None


@pytest.mark.parametrize("said", ["READONLY no", "NOREPLICAS no", "OOM no"])
def test_what_the_server_does_not_take_is_refused(redis: str, said: str) -> None:
    Redis.answers["SET"] = f"-{said}\r\n".encode()
    outcome = key(redis)
    assert (outcome.fate, outcome.broken, outcome.written) == (REFUSED, True, None)


@pytest.mark.parametrize("command", ["SET", "WAIT"])
def test_no_answer_is_indeterminate(redis: str, command: str) -> None:
    Redis.answers[command] = None
    outcome = key(redis)
    assert (outcome.fate, outcome.broken) == (INDETERMINATE, True)
    assert (outcome.written is not None) == (command == "WAIT")


def test_a_replica_is_no_place_to_write_to(redis: str) -> None:
    text = b"role:slave\r\nrun_id:aa\r\nmaster_replid:bb\r\n"
    Redis.answers["INFO"] = b"$%d\r\n%s\r\n" % (len(text), text)
    with pytest.raises(CannotConnect, match="role:slave"):
        key(redis)
