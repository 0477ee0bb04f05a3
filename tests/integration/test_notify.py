"""Messages to people without Prometheus: real servers on loopback take them; each once, none lost, none that delays a tick."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from daemon.act.notify import Notify
from daemon.act.outbox import Deliverer
from daemon.act.send import Sender, targets_of
from daemon.settings_service import Topic
from daemon.store import counters, incidents, outbox, tables
from daemon.store.ledger import Ledger
from tests.integration.conftest import wait_for
from tests.sinks import smtp, webhook

# apprise's plug-ins, not this project
pytestmark = pytest.mark.filterwarnings("ignore:'(imghdr|cgi|telnetlib)' is deprecated:DeprecationWarning")

MODEL, URL, SECRET = "support", "https://ops.example.org/retuned", "vErY-sEcReT"
OPENED = {
    "what": "incident.opened",
    "incident": "inc-1",
    "harmful": True,
    "kinds": ["drift", "risk"],
    "because": (said := "loss 0.331 on 412 labelled records: above the source bound plus tolerance, 0.181"),
    "opened_at": 900.0,
    "figures": [{"detector": "risk_change", "subject": "risk", "value": 0.331, "low": 0.262, "high": 0.406, "n": 412, "because": said}],
}


@dataclass
class Telling:
    """The acting side's part that tells people, over a real ledger."""

    ledger: Ledger
    urls: list[str]
    retry_s: float = 86_400.0
    topics: list[Topic] = field(default_factory=lambda: list(Topic))
    now: float = 1_000.0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A new process."""
        targets = targets_of([SecretStr(url) for url in self.urls])
        self.sender = Sender(ledger=self.ledger, targets=targets, retry_s=self.retry_s)
        notify = Notify(ledger=self.ledger, targets=list(targets), topics=self.topics, url=URL)
        self.outbox = Deliverer(ledger=self.ledger, handlers={"notify": notify.deliver, "send": self.sender.deliver})

    def say(self, payload: dict[str, Any], key: str = "inc-1:opened") -> None:
        with self.ledger.begin() as tx:
            outbox.put(tx, key=f"notify:{key}", model=MODEL, kind="notify", payload=payload, now=self.now)

    def tick(self, seconds: float = 10.0) -> int:
        """How many still wait."""
        self.now += seconds
        self.outbox.deliver(self.now)
        with self.ledger.read() as tx:
            return len(outbox.pending(tx))

    def until_told(self) -> None:
        wait_for(lambda: self.tick() == 0, seconds=60, message="the messages")

    def counted(self) -> dict[str, int]:
        with self.ledger.read() as tx:
            return {reason: n for (name, reason), n in counters.counters(tx, "").items() if name == "notifications"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    opened.migrate()
    yield opened
    opened.close()


def test_a_webhook_a_chat_and_a_mailbox_are_told_what_how_bad_where_to_look_and_what_to_do(ledger: Ledger) -> None:
    with webhook() as plain, webhook() as chat, smtp() as mail:
        mail_url = f"mailto://127.0.0.1:{mail.port}/?from=retuned@example.org&to=ops@example.org&mode=insecure"
        telling = Telling(ledger, [f"json://127.0.0.1:{plain.port}/hook", f"mmost://127.0.0.1:{chat.port}/{SECRET}abc", mail_url])
        telling.say(OPENED)
        telling.until_told()
        (hooked,), (chatted,), (mailed,) = plain.got, chat.got, mail.got
    body = hooked["body"]
    assert (body["title"], body["type"]) == (f"{MODEL}: incident, harmful: worse than it was made to be, traffic changed", "failure")
    assert body["message"].splitlines() == [
        "Open since 1970-01-01 00:15 UTC.",
        f"risk (risk_change): {OPENED['because']} (between 0.262 and 0.406)",
        "",
        f"Look: {URL}/incidents/inc-1",
        f"Do: {URL}/runbooks/RetunedHarmfulDrift",
    ]
    assert "between 0.262 and 0.406" in chatted["body"]["text"]
    letter = email.message_from_string(mailed, policy=email.policy.default)
    assert MODEL in letter["Subject"]
    assert f"{URL}/incidents/inc-1" in letter.as_string().replace("=\n", "")
    assert telling.counted() == {"sent": 3}


def test_who_took_a_message_is_not_asked_again_while_another_one_is_down_nor_after_a_restart(ledger: Ledger) -> None:
    with webhook() as up, webhook() as down:
        down.status = 503
        telling = Telling(ledger, [f"json://127.0.0.1:{up.port}/", f"json://127.0.0.1:{down.port}/"])
        telling.say(OPENED)
        telling.say(OPENED)
        wait_for(lambda: telling.tick() >= 0 and telling.counted().get("failed", 0) >= 2, seconds=60, message="two failures")
        assert len(up.got) == 1
        telling.start()
        down.status = 200
        telling.until_told()
        telling.start()
        telling.say(OPENED)
        assert telling.tick() == 0
        assert (len(up.got), len(down.got)) == (1, 1)
    assert telling.counted()["sent"] == 2


def test_a_target_that_does_not_answer_delays_neither_the_tick_nor_another_target(ledger: Ledger) -> None:
    with webhook() as quick, webhook() as slow:
        slow.is_open.clear()
        telling = Telling(ledger, [f"json://127.0.0.1:{slow.port}/?rto=60&cto=60", f"json://127.0.0.1:{quick.port}/"])
        telling.say(OPENED)
        assert wait_for(lambda: telling.tick() >= 0 and slow.asked.is_set() and quick.got, seconds=60, message="the quick one")
        wait_for(lambda: telling.tick() == 1, seconds=60, message="only the slow one to wait, and each tick to come back")
        assert not slow.got
        slow.is_open.set()
        telling.until_told()
        assert (len(slow.got), len(quick.got)) == (1, 1)


def test_many_messages_to_a_target_that_is_down_hold_up_no_other_target(ledger: Ledger) -> None:
    with webhook() as up, webhook() as down:
        down.status = 503
        telling = Telling(ledger, [f"json://127.0.0.1:{down.port}/"])
        for i in range(150):
            telling.say(OPENED, key=f"inc-{i}:opened")
        for _ in range(4):
            telling.tick()
        telling.urls += [f"json://127.0.0.1:{up.port}/"]
        telling.start()
        telling.say(OPENED, key="the-one:opened")
        telling.tick()
        telling.tick()
        assert up.asked.wait(30), "the target that is up was not asked"


def test_fifty_incidents_at_once_are_told_within_a_few_ticks(ledger: Ledger) -> None:
    with webhook() as hook:
        telling = Telling(ledger, [f"json://127.0.0.1:{hook.port}/"])
        for i in range(50):
            telling.say({"what": "incident.opened", "because": f"number {i}"}, key=f"inc-{i}:opened")
        for n in (20, 40, 50):
            telling.tick()
            telling.tick(0.1)
            wait_for(lambda n=n: len(hook.got) >= n, seconds=30, message=f"{n} messages")
        telling.until_told()
        said = [message["body"]["message"].splitlines()[0] for message in hook.got]
    assert said == [f"number {i}" for i in range(50)]  # in the order in which they opened
    assert telling.counted() == {"sent": 50}


def test_a_message_that_flies_keeps_its_place_in_the_line_or_a_later_one_would_go_first(ledger: Ledger) -> None:
    with webhook() as hook:
        hook.is_open.clear()
        telling = Telling(ledger, [f"json://127.0.0.1:{hook.port}/"])
        for i in range(30):
            telling.say({**OPENED, "because": f"number {i}"}, key=f"inc-{i}:opened")
        telling.tick()
        assert hook.asked.wait(60)
        telling.tick(0.1)
        (line,) = telling.sender._lines.values()
        assert line.flying is not None
        assert len(line.waiting) == 19
        hook.is_open.set()
        telling.until_told()


def test_what_is_on_its_way_when_the_service_is_stopped_is_written_down_and_not_sent_again(ledger: Ledger) -> None:
    with webhook() as hook:
        telling = Telling(ledger, [f"json://127.0.0.1:{hook.port}/"])
        telling.say(OPENED)
        telling.tick()
        telling.tick()
        assert hook.asked.wait(60)
        telling.sender.close(30.0, telling.now)
        telling.start()
        assert telling.tick() == 0
        assert len(hook.got) == 1


def test_a_message_that_nobody_takes_is_given_up_after_a_day_and_one_to_a_removed_target_at_once(ledger: Ledger) -> None:
    with webhook() as hook:
        hook.status = 500
        telling = Telling(ledger, [f"json://127.0.0.1:{hook.port}/"])
        telling.say(OPENED)
        wait_for(lambda: telling.tick(3600.0) == 0, seconds=60, message="giving up")
        assert telling.counted()["given_up"] == 1
        telling.say(OPENED, key="inc-2:opened")
        telling.tick()
        telling.urls = []
        telling.start()
        telling.tick()
        assert telling.tick() == 0
        assert telling.counted()["given_up"] == 2


def test_a_muted_incident_and_an_unwanted_topic_are_told_to_nobody_but_the_ledger(ledger: Ledger) -> None:
    with webhook() as hook:
        telling = Telling(ledger, [f"json://127.0.0.1:{hook.port}/"], topics=[Topic.INCIDENT])
        with ledger.begin() as tx:
            incidents.open_incident(tx, incident_id="inc-1", model=MODEL, epoch=1, now=telling.now, subjects={}, harmful=False)
            tx.execute(tables.incident.update().values(muted_until=telling.now + 100.0, muted_by="ada"))
        telling.say(OPENED)
        telling.say({"what": "run.failed", "run": "run-1", "because": "out of memory"}, key="run-1:failed")
        assert telling.tick() == 0
        telling.now += 100.0
        telling.say({**OPENED, "what": "incident.harmful"}, key="inc-1:harmful")
        telling.until_told()
        (title,) = (taken["body"]["title"] for taken in hook.got)
        assert title.startswith(f"{MODEL}: the incident does harm: ")
    with ledger.read() as tx:
        assert {reason for (name, reason) in counters.counters(tx, MODEL) if name == "alerts"} == {
            "incident.opened",
            "run.failed",
            "incident.harmful",
        }


def test_no_part_of_a_targets_url_is_logged_or_kept(ledger: Ledger, capfd: pytest.CaptureFixture[str]) -> None:
    with webhook() as hook:
        hook.status = 500
        urls = [f"json://user:{SECRET}@127.0.0.1:{hook.port}/{SECRET}", f"slack://{SECRET}/nonsense", f"nosuch://{SECRET}"]
        telling = Telling(ledger, urls)
        telling.say(OPENED)
        wait_for(lambda: telling.tick() >= 0 and telling.counted().get("failed", 0) >= 4, seconds=60, message="failures")
    with ledger.read() as tx:
        kept = [str(row) for table in (tables.outbox, tables.event) for row in tx.execute(table.select())]
    said = capfd.readouterr()
    assert kept
    assert not [text for text in (*kept, said.out, said.err, repr(telling.sender)) if SECRET in text]
