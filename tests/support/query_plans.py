"""How SQLite carries out the statements of a store: by an index, or by reading a whole table."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from sqlalchemy import Engine, MetaData, event

_STATEMENTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


class QueryPlans:
    """The plans of all statements that an engine is given from now on."""

    def __init__(self, engine: Engine, metadata: MetaData) -> None:
        self._plans: dict[str, list[str]] = {}
        self._partial = {
            index.name
            for table in metadata.tables.values()
            for index in table.indexes
            if index.dialect_options["sqlite"]["where"] is not None
        }
        event.listen(engine, "before_cursor_execute", self._explain)

    def scans(self, tables: Collection[str]) -> dict[str, list[str]]:
        """Return the statements that read all of one of the tables, with how they do that.

        A partial index holds only what its condition says, and may be read whole. Who wants the
        first so many of a table in the order of an index reads no more of it than those.
        """
        bad = {statement: self._whole(statement, tables) for statement in self._plans}
        return {statement: steps for statement, steps in bad.items() if steps}

    def _whole(self, statement: str, tables: Collection[str]) -> list[str]:
        return [step for step in self._plans[statement] if self._is_scan(step, statement, tables)]

    def _is_scan(self, step: str, statement: str, tables: Collection[str]) -> bool:
        found = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
        if found is None or found[1] not in tables:
            return False
        first_ones = "LIMIT" in statement and "WHERE" not in statement
        return found[2] not in self._partial and not (found[2] and first_ones)

    def _explain(self, _: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        _, many = more
        if statement.split(None, 1)[0] in _STATEMENTS and statement not in self._plans:
            values = parameters[0] if many else parameters
            plan = cursor.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values)
            self._plans[statement] = [step for *_, step in plan.fetchall()]


class Called:
    """Stands for a store and remembers which of its methods were used."""

    def __init__(self, store: object) -> None:
        self._store = store
        self._used: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self._used.add(name)
        return getattr(self._store, name)

    def unused(self) -> set[str]:
        """Return the store's public methods that nobody has used."""
        public = {name for name in vars(type(self._store)) if not name.startswith("_")}
        return public - self._used
