"""Where a gateway is killed: at a known statement of its own database, not when a clock says so.

A trigger, put there while no gateway runs, fails one write, so that what came before it is done and it is not; or it makes the row
that was just written unreadable, so that nothing goes on from it.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .process import Child

SECONDS = 90
STATES = ("requested", "fenced", "inventoried", "rekeyed", "refenced", "backed-up", "destroyed", "receipted", "purged")
# What SQLite's error is when a trigger has raised it.
RAISED = "1811"


@dataclass(frozen=True)
class Cut:
    """A write of the catalog or the key store that fails, or after which nothing goes on."""

    name: str
    database: str
    event: str
    when: str = "1"
    after: bool = False

    @property
    def trigger(self) -> str:
        if self.after:
            return (f"CREATE TRIGGER cut AFTER {self.event} WHEN {self.when}"
                    " BEGIN UPDATE shreds SET epoch_from = -epoch_from WHERE id = NEW.id; END")  # fmt: skip
        return f"CREATE TRIGGER cut BEFORE {self.event} WHEN {self.when} BEGIN SELECT RAISE(ABORT, 'cut'); END"


def before(state: str) -> Cut:
    """Everything for a state is done, and the state is not written."""
    return Cut(f"before {state}", "catalog", "UPDATE OF state ON shreds", f"NEW.state = '{state}'")


def after(state: str) -> Cut:
    """A state is written, and nothing of the next step begun."""
    return Cut(f"after {state}", "catalog", "UPDATE OF state ON shreds", f"NEW.state = '{state}'", after=True)


@dataclass(frozen=True)
class Stores:
    """The SQLite files of a domain."""

    catalog: Path
    keys: Path

    @contextmanager
    def open(self, which: str) -> Iterator[sqlite3.Connection]:
        """Closed at the end: a connection that is still there when its files are copied loses its locks."""
        with closing(sqlite3.connect(getattr(self, which), timeout=20)) as connection, connection:
            yield connection

    def shred(self) -> tuple | None:
        """State, epoch and last error of the newest shred."""
        with self.open("catalog") as rows:
            return rows.execute("SELECT state, epoch_from, last_error FROM shreds ORDER BY started DESC").fetchone()

    def put(self, cut: Cut) -> None:
        with self.open(cut.database) as store:
            store.execute(cut.trigger)

    def dies_at(self, cut: Cut, child: Child) -> None:
        """Waits until a gateway has come to a cut, and kills it there."""
        deadline = time.monotonic() + SECONDS
        while True:
            found = self.shred()
            if found and (found[1] < 0 if cut.after else found[2] is not None):
                break
            assert time.monotonic() < deadline, f"{cut.name} is not reached: {found}\n{child.output_tail()}"
            time.sleep(0.01)
        child.kill()
        if not cut.after:
            assert RAISED in found[2], f"{cut.name} fails for another reason: {found}"
        when, _, state = cut.name.partition(" ")
        if when in ("before", "after"):
            assert found[0] == STATES[STATES.index(state) - (when == "before")], f"{cut.name}: {found}"

    def mend(self, cut: Cut) -> None:
        """Takes the trigger away, and lets time go by: the minute for which the dead runner holds the shred, and the dead gateway's leases."""
        with self.open(cut.database) as store:
            store.execute("DROP TRIGGER cut")
        with self.open("catalog") as rows:
            rows.execute("UPDATE shreds SET epoch_from = abs(epoch_from), lease_until = 0, last_error = NULL")
            rows.execute("DELETE FROM gateways")
        with self.open("keys") as store:
            store.execute("UPDATE gateways SET lease_ms = 1")
