"""Which rows a query can depend on, rule by rule and both ways; tests/coherence/test_narrowing_sound.py asks SQLite."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from coeval.coherence import syntax
from coeval.coherence.narrowing import Constant, Parameter, Reference, Schema, Table, narrow

SCHEMA = Schema(
    {
        "orders": Table(
            ("id", "customer_id", "status", "note", "total"),
            {"customer_id": "INTEGER", "status": "TEXT"},
            {"id": "INTEGER", "note": "TEXT"},
        ),
        "customers": Table(("id", "name", "region"), {"id": "INTEGER", "region": "TEXT"}, {}),
        "items": Table(("order_id", "sku", "customer_id"), {"order_id": "INTEGER", "sku": "TEXT"}, {}),
        "logs": Table(("at", "text"), {}, {}),
    },
    frozenset({"recent"}),
)

O, C, I = "orders", "customers", "items"  # noqa: E741
W = "whole"
ONE = "customer_id=1"


def told(sql: str) -> dict[str, str]:
    """What `narrow` says, short: per table its references, or that the whole counts."""
    return {
        table: W if isinstance(found, str) else " ".join(_short(reference) for reference in found)
        for table, found in narrow(sql, SCHEMA).items()
    }


def _short(reference: Reference) -> str:
    values = [
        repr(source.value)
        if isinstance(source, Constant)
        else f"?{source.number}{':' if source.name else ''}{source.name or ''}"
        for source in reference.sources
    ]
    return f"{reference.column}={','.join(values)}"


CONDITIONS = [
    # What binds.
    ("customer_id = 1", ONE), ("1 = customer_id", ONE), ("customer_id == 1", ONE), ("((customer_id) = (1))", ONE),
    ("orders.customer_id = 1", ONE), ("main.orders.customer_id = 1", ONE), ('"Customer_ID" = 1', ONE),
    ("[customer_id] = 1", ONE), ("`customer_id` = 1", ONE), ("CUSTOMER_ID = 1", ONE),
    ('"orders"."customer_id" = 1', ONE), ("customer_id = 1 AND total > 2", ONE),
    ("total > 2 AND (total < 9 AND customer_id = 1)", ONE), ("customer_id = -1", "customer_id=-1"),
    ("customer_id = - 1", "customer_id=-1"), ("customer_id = -(1)", "customer_id=-1"),
    ("customer_id = 007", "customer_id=7"), ("customer_id = '1'", "customer_id='1'"), ("status = 1", "status=1"),
    ("customer_id = 9223372036854775807", "customer_id=9223372036854775807"),
    ("customer_id = -9223372036854775808", "customer_id=-9223372036854775808"),
    ("status = 'it''s'", 'status="it\'s"'), ("status = ''", "status=''"), ("status = 'é'", "status='é'"),
    ("customer_id = ?", "customer_id=?1"), ("customer_id = ?7", "customer_id=?7"),
    ("customer_id = :c", "customer_id=?1:c"), ("customer_id IN (1)", ONE),
    ("customer_id IN (1, ?, 1, :x)", "customer_id=1,?1,?2:x"), ("(customer_id) IN ((1))", ONE),
    ("customer_id IS 1", ONE), ("1 IS customer_id", ONE), ("customer_id IS NOT DISTINCT FROM 1", ONE),
    ("customer_id IS -1", "customer_id=-1"), ("customer_id = 1 OR customer_id = 2", "customer_id=1,2"),
    ("customer_id = 1 OR customer_id IN (1, 2) AND total > 1", "customer_id=1,2"),
    ("(customer_id, total) = (1, 2)", ONE), ("(total, customer_id) = (1, ?)", "customer_id=?1"),
    ("customer_id = 1 AND status IN ('a', 'b')", ONE), ("customer_id IN (1, 2) AND status = 'a'", "status='a'"),
    ("customer_id = 1 AND customer_id = customer_id", ONE), ("customer_id = id AND id = 1", ONE),
    ("note = ? AND status = note", "status=?1"),
    # What does not.
    ("customer_id = 1 OR 1", W), ("customer_id = 1 OR status = 'a'", W),
    ("customer_id = 1 OR NOT customer_id = 2", W), ("NOT customer_id = 1", W), ("NOT (customer_id = 1)", W),
    ("NOT NOT customer_id = 1", W), ("(customer_id = 1) = 0", W), ("(customer_id = 1) IS NOT TRUE", W),
    ("customer_id = 1 = 0", W), ("customer_id <> 1", W), ("customer_id != 1", W), ("customer_id > 1", W),
    ("customer_id BETWEEN 1 AND 1", W), ("CASE WHEN customer_id = 1 THEN 1 END", W),
    ("coalesce(customer_id, 1) = 1", W), ("+customer_id = 1", W), ("-customer_id = 1", W),
    ("customer_id + 0 = 1", W), ("CAST(customer_id AS INT) = 1", W), ("customer_id = +1", W),
    ("customer_id = ~1", W), ("customer_id = -'1'", W), ("customer_id = - -1", W), ("customer_id = 1 + 0", W),
    ("customer_id = 1.0", W), ("customer_id = 0x1", W), ("customer_id = 1_0", W),
    ("customer_id = 9223372036854775808", W), ("customer_id = -9223372036854775809", W), ("customer_id = NULL", W),
    ("customer_id = x'31'", W), ("customer_id = TRUE", W), ("customer_id = CURRENT_DATE", W),
    ("customer_id = CAST(? AS INT)", W), ("customer_id = abs(?)", W), ("status = -1", W), ('status = "open"', W),
    ('status = "note"', W), ("status = status", W), ("customer_id = total", W), ("customer_id IS NULL", W),
    ("customer_id IS ?", W), ("customer_id IS NOT 1", W), ("customer_id IS DISTINCT FROM 1", W),
    ("customer_id ISNULL", W), ("customer_id IN ()", W), ("customer_id NOT IN (1)", W),
    ("customer_id IN (1, NULL)", W), ("customer_id IN (1, total)", W), ("customer_id IN (1, 2 + 1)", W),
    ("customer_id IN (SELECT 1)", W), ("customer_id = (SELECT 1)", W), ("status LIKE 'a'", W),
    ("status GLOB 'a'", W), ("status COLLATE NOCASE = 'a'", W), ("status = 'a' COLLATE NOCASE", W),
    ("status = ? COLLATE BINARY", W), ("status IN ('a' COLLATE NOCASE)", W),
    ("(customer_id, total) = (SELECT 1, 2)", W), ("(customer_id, total) IN (VALUES (1, 2))", W),
    ("(customer_id, total) < (1, 2)", W), ("total = 1", W), ("id = 1", W), ("rowid = 1", W), ("customer_id = id", W),
    ("id = 1 OR customer_id = id", W), ("customer_id = id AND id > 1", W), ("status = note AND note IS ?", W),
    ("status = customer_id AND customer_id = 1 AND 0 = 1", ONE), ("nosuch.customer_id = 1", W),
    ("temp.orders.customer_id = 1", W), ("1", W),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS)
def test_a_condition_holds_a_column_to_values_or_does_not(condition: str, expected: str):
    """Through AND and parentheses alone, of a bare column and bare values."""
    assert told(f"SELECT * FROM orders WHERE {condition}") == {O: expected}
    assert told(f"SELECT 1 FROM orders JOIN logs ON {condition}") == {O: expected, "logs": W}


QUERIES = [
    # One table.
    (
        ("SELECT count(*), max(total) FROM orders "
        "WHERE customer_id = ? GROUP BY status HAVING total > ? ORDER BY 1 LIMIT ? OFFSET ?"),
        {O: "customer_id=?1"},
    ),
    ("SELECT total FROM orders GROUP BY total HAVING customer_id = 1", {O: W}),
    ("SELECT sum(total) OVER (PARTITION BY status) FROM orders WHERE customer_id = 1", {O: ONE}),
    ("SELECT * FROM orders", {O: W}), ("SELECT 1", {}), ("VALUES (1)", {}),
    ("SELECT * FROM logs WHERE at = 1", {"logs": W}),
    ("SELECT * FROM orders INDEXED BY i WHERE customer_id = 1", {O: ONE}),
    ("SELECT * FROM orders NOT INDEXED WHERE customer_id = 1", {O: ONE}),
    ("SELECT * FROM MAIN.Orders WHERE customer_id = 1;", {O: ONE}),
    ("SELECT * FROM 'orders' WHERE 'orders'.'customer_id' = 1 -- ; ?\n;;", {O: ONE}),
    ("SELECT total AS customer_id FROM orders WHERE customer_id = 1", {O: ONE}),
    ("SELECT customer_id AS x FROM orders WHERE x = 1", {O: W}),
    # Aliases.
    ("SELECT * FROM orders AS o WHERE o.customer_id = 1", {O: ONE}),
    ("SELECT * FROM orders o WHERE orders.customer_id = 1", {O: W}),
    ("SELECT * FROM orders AS customers WHERE customers.customer_id = 1", {O: ONE}),
    ("SELECT * FROM (orders) WHERE customer_id = 1", {O: ONE}),
    ("SELECT * FROM (orders) AS o WHERE o.customer_id = 1", {O: W}),
    ("SELECT * FROM orders o WHERE main.o.customer_id = 1", {O: W}),
    # Inner joins, and equality through them.
    ("SELECT * FROM orders, customers c WHERE c.id = customer_id AND c.id = 1", {O: ONE, C: "id=1"}),
    (
        ("SELECT * FROM orders o JOIN customers c ON c.id = o.customer_id "
        "WHERE o.customer_id = ?"),
        {O: "customer_id=?1", C: "id=?1"},
    ),
    ("SELECT * FROM orders o JOIN customers c ON c.id = o.customer_id AND o.customer_id = 1", {O: ONE, C: "id=1"}),
    ("SELECT * FROM orders o CROSS JOIN customers c ON c.id = o.customer_id WHERE c.id = 1", {O: ONE, C: "id=1"}),
    (
        ("SELECT * FROM orders o "
        "JOIN customers c ON c.id = o.customer_id WHERE c.region = 'eu'"),
        {O: W, C: "region='eu'"},
    ),
    ("SELECT * FROM orders o JOIN customers c ON c.id = o.status WHERE c.id = 1", {O: W, C: "id=1"}),
    ("SELECT * FROM orders o JOIN customers c ON c.id = o.total WHERE o.total = 1", {O: W, C: W}),
    (
        ("SELECT * FROM orders o JOIN items i ON i.order_id = o.id "
        "JOIN customers c ON c.id = i.order_id WHERE o.id = 1"),
        {O: W, I: "order_id=1", C: "id=1"},
    ),
    (
        ("SELECT * FROM orders a JOIN orders b ON a.customer_id = b.customer_id "
        "WHERE a.customer_id = 1"),
        {O: f"{ONE} {ONE}"},
    ),
    (
        ("SELECT * FROM orders a JOIN orders b "
        "WHERE a.customer_id = 1 AND b.customer_id = 2"),
        {O: "customer_id=1 customer_id=2"},
    ),
    ("SELECT * FROM orders a JOIN orders b WHERE a.customer_id = 1", {O: W}),
    ("SELECT * FROM orders, orders WHERE orders.customer_id = 1", {O: W}),
    ("SELECT * FROM orders JOIN customers ON region = 'x' AND status = 'y'", {O: "status='y'", C: "region='x'"}),
    ("SELECT * FROM orders o JOIN customers c ON i.sku = 'x' JOIN items i", {O: W, C: W, I: W}),
    # USING and NATURAL.
    ("SELECT * FROM orders JOIN items USING (customer_id) WHERE customer_id = 1", {O: ONE, I: W}),
    (
        ("SELECT * FROM customers c JOIN orders o USING (id) "
        "WHERE c.id = 1 AND o.status = 'x'"),
        {C: "id=1", O: "status='x'"},
    ),
    (
        ("SELECT * FROM customers JOIN (SELECT 1 AS id) USING (id) "
        "JOIN orders USING (id) WHERE id = 1"),
        {C: "id=1", O: W},
    ),
    ("SELECT * FROM orders NATURAL JOIN items WHERE customer_id = 1", {O: W, I: W}),
    ("SELECT * FROM orders o NATURAL JOIN items i WHERE o.customer_id = 1 AND sku = 'x'", {O: ONE, I: "sku='x'"}),
    # LEFT JOIN: ON binds the right side, and takes what is known of the left.
    ("SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = 1", {C: "id=1", O: ONE}),
    ("SELECT * FROM customers c LEFT OUTER JOIN orders o ON o.customer_id = 1", {C: W, O: ONE}),
    ("SELECT * FROM customers c LEFT JOIN orders o ON c.id = 1", {C: W, O: W}),
    ("SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND c.id = 1", {C: W, O: W}),
    ("SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.customer_id = 1", {C: W, O: ONE}),
    ("SELECT * FROM customers c LEFT JOIN orders o ON o.total = c.id WHERE o.customer_id = 1", {C: W, O: ONE}),
    (
        ("SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = 1 "
        "WHERE o.customer_id = c.id"),
        {C: "id=1", O: ONE},
    ),
    (
        ("SELECT * FROM customers c LEFT JOIN orders o ON o.customer_id = c.id "
        "LEFT JOIN items i ON i.order_id = o.customer_id WHERE c.id = 1"),
        {C: "id=1", O: ONE, I: "order_id=1"},
    ),
    (
        ("SELECT * FROM customers c LEFT JOIN orders o ON 1 "
        "JOIN items i ON i.order_id = 1 AND o.customer_id = 2"),
        {C: W, O: "customer_id=2", I: "order_id=1"},
    ),
    (
        ("SELECT * FROM customers c LEFT JOIN orders o USING (id) "
        "WHERE c.id = 1 AND o.status = 'x'"),
        {C: "id=1", O: "status='x'"},
    ),
    ("SELECT * FROM customers c RIGHT JOIN orders o ON c.id = 1 WHERE o.customer_id = 1", {C: W, O: W}),
    ("SELECT * FROM customers c FULL JOIN orders o ON c.id = 1 WHERE o.customer_id = 1", {C: W, O: W}),
    (
        ("SELECT * FROM customers c LEFT JOIN (orders o "
        "JOIN items i ON o.customer_id = 1) ON o.id = c.id WHERE c.id = 1"),
        {C: W, O: W, I: W},
    ),
    (
        ("SELECT * FROM logs JOIN (items i "
        "JOIN logs l ON l.at IN (SELECT total FROM orders)) ON 1"),
        {"logs": W, I: W, O: W},
    ),
    # Subqueries: each by its own conditions.
    (
        ("SELECT * FROM customers WHERE id IN (SELECT customer_id "
        "FROM orders WHERE status = 'x')"),
        {C: W, O: "status='x'"},
    ),
    (
        ("SELECT * FROM customers WHERE id = 1 AND id NOT IN (SELECT customer_id "
        "FROM orders WHERE status = 'x')"),
        {C: "id=1", O: "status='x'"},
    ),
    ("SELECT * FROM orders WHERE customer_id = 1 AND total > (SELECT avg(total) FROM orders)", {O: W}),
    (
        ("SELECT * FROM orders WHERE customer_id = 1 AND total > (SELECT avg(total) "
        "FROM orders WHERE status = 'x')"),
        {O: "customer_id=1 status='x'"},
    ),
    ("SELECT * FROM (SELECT * FROM orders WHERE customer_id = 1 LIMIT 3) x", {O: ONE}),
    ("SELECT * FROM (SELECT * FROM orders) x WHERE x.customer_id = 1", {O: W}),
    (
        ("SELECT * FROM (SELECT status FROM orders "
        "WHERE customer_id = 1) x, items WHERE sku = 'a'"),
        {O: ONE, I: "sku='a'"},
    ),
    ("SELECT * FROM (SELECT 1 + 1) x, items WHERE sku = 'a'", {I: W}),
    ("SELECT * FROM (SELECT 1 + 1) x, items WHERE items.sku = 'a'", {I: "sku='a'"}),
    (
        ("SELECT (SELECT 1 FROM orders WHERE customer_id = 1), EXISTS (SELECT 1 "
        "FROM items WHERE sku = ?) FROM logs"),
        {O: ONE, I: "sku=?1", "logs": W},
    ),
    (
        ("SELECT 1 FROM logs ORDER BY (SELECT 1 "
        "FROM items) LIMIT (SELECT count(*) FROM orders WHERE customer_id = 1)"),
        {"logs": W, I: W, O: ONE},
    ),
    ("VALUES ((SELECT total FROM orders WHERE customer_id = 1))", {O: ONE}),
    ("SELECT 1 FROM orders WHERE customer_id = 1 AND 1 IN items", {O: ONE, I: W}),
    ("SELECT 1 FROM orders WHERE customer_id = 1 AND 1 IN main.orders", {O: W}),
    # Correlated: only to what the outer query holds to values, and only by its right name.
    (
        ("SELECT (SELECT count(*) FROM orders o "
        "WHERE o.customer_id = c.id) FROM customers c WHERE c.id = 1"),
        {C: "id=1", O: ONE},
    ),
    (
        ("SELECT * FROM customers c WHERE c.id = 1 AND EXISTS (SELECT 1 "
        "FROM orders WHERE c.id = customer_id)"),
        {C: "id=1", O: ONE},
    ),
    (
        ("SELECT * FROM customers c WHERE c.id = 1 OR EXISTS (SELECT 1 "
        "FROM orders WHERE c.id = customer_id)"),
        {C: W, O: W},
    ),
    ("SELECT * FROM customers c WHERE EXISTS (SELECT 1 FROM orders WHERE customer_id = c.id)", {C: W, O: W}),
    (
        ("SELECT * FROM customers c WHERE c.id = 1 AND EXISTS (SELECT 1 "
        "FROM orders WHERE status = c.id)"),
        {C: "id=1", O: W},
    ),
    (
        ("SELECT * FROM customers c WHERE c.id = 1 AND EXISTS (SELECT 1 "
        "FROM orders WHERE customer_id IS c.id)"),
        {C: "id=1", O: W},
    ),
    (
        ("SELECT * FROM customers c WHERE c.id = 1 AND EXISTS (SELECT 1 "
        "FROM orders c WHERE customer_id = c.id)"),
        {C: "id=1", O: W},
    ),
    (
        ("SELECT * FROM customers c WHERE c.id = 1 AND EXISTS (SELECT 1 "
        "FROM orders, items c WHERE orders.customer_id = c.id)"),
        {C: "id=1", O: W, I: W},
    ),
    (
        ("SELECT * FROM orders o WHERE o.status = 'x' AND EXISTS (SELECT 1 "
        "FROM items WHERE sku = status)"),
        {O: "status='x'", I: W},
    ),
    (
        ("SELECT * FROM customers c WHERE c.id = 1 AND (SELECT EXISTS (SELECT 1 "
        "FROM items WHERE order_id = c.id) FROM logs)"),
        {C: "id=1", I: "order_id=1", "logs": W},
    ),
    (
        ("SELECT * FROM customers c WHERE c.id = 1 AND EXISTS (SELECT 1 "
        "FROM (SELECT 1 FROM orders WHERE customer_id = c.id) x)"),
        {C: "id=1", O: W},
    ),
    (
        ("SELECT * FROM orders WHERE EXISTS (SELECT 1 "
        "FROM customers c WHERE orders.customer_id = 1 AND c.id = 1)"),
        {O: W, C: "id=1"},
    ),
    # CTEs.
    ("WITH x AS (SELECT * FROM orders WHERE customer_id = 1) SELECT * FROM x", {O: ONE}),
    ("WITH x AS (SELECT * FROM orders) SELECT * FROM x WHERE customer_id = 1", {O: W}),
    ("WITH x(id) AS (SELECT 1) SELECT * FROM x JOIN orders o ON o.customer_id = x.id WHERE x.id = 1", {O: W}),
    ("WITH x(a) AS (SELECT 1) SELECT * FROM x JOIN orders ON customer_id = 1", {O: ONE}),
    ("WITH x AS (SELECT 1 + 1) SELECT * FROM x JOIN orders ON customer_id = 1", {O: W}),
    (
        ("WITH items AS (SELECT * FROM orders WHERE customer_id = 1) "
        "SELECT * FROM items WHERE sku = 'a'"),
        {O: ONE, I: W},
    ),
    (
        ("SELECT (WITH items AS (SELECT 1 AS sku) SELECT sku "
        "FROM items WHERE sku = 'a') FROM main.items WHERE sku = 'b'"),
        {I: W},
    ),
    (
        ("WITH RECURSIVE x(k) AS (SELECT id FROM customers WHERE id = 1 UNION ALL SELECT o.id "
        "FROM orders o JOIN x ON o.id = x.k WHERE o.status = 's') SELECT * FROM x"),
        {C: "id=1", O: "status='s'"},
    ),
    (
        ("WITH RECURSIVE x(k) AS (SELECT 1 UNION ALL SELECT o.id FROM orders o "
        "JOIN x ON o.customer_id = x.k) SELECT * FROM x WHERE k = 1"),
        {O: W},
    ),
    # Compounds: each arm by itself.
    ("SELECT id FROM orders WHERE customer_id = 1 UNION SELECT id FROM customers", {O: ONE, C: W}),
    (
        ("SELECT id FROM orders WHERE customer_id = 1 EXCEPT "
        "SELECT id FROM orders WHERE customer_id = 2"),
        {O: "customer_id=1 customer_id=2"},
    ),
    ("SELECT id FROM orders WHERE customer_id = 1 INTERSECT SELECT id FROM orders", {O: W}),
    # Placeholders are counted in the order of the text.
    (
        ("SELECT ?, ?9, :a, ?, @a, :a, '?', \"?\", [?] "
        "FROM orders WHERE /* ? */ customer_id = ? LIMIT ?, ?"),
        {O: "customer_id=?13"},
    ),
    ("SELECT :a, ? FROM orders WHERE customer_id IN (:a, $b::c(d), ?2)", {O: "customer_id=?1:a,?3:b::c(d),?2"}),
    ("SELECT * FROM orders WHERE customer_id = ?003 AND status = ?", {O: "customer_id=?3"}),
    (
        ("SELECT CASE ? WHEN 1 THEN 2 END FROM orders JOIN items ON sku = ? AND ? "
        "WHERE total BETWEEN ? AND ? AND orders.customer_id = ?"),
        {O: "customer_id=?6", I: "sku=?2"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), QUERIES)
def test_each_mention_of_a_table_is_judged_by_its_own_select(sql: str, expected: dict[str, str]):
    """All mentions together; one that is whole makes the table count whole."""
    assert told(sql) == expected


UNCLEAR = [
    ("SELECT 1 FROM recent, orders WHERE customer_id = 1", "it reads the view recent"),
    (
        ("WITH recent AS (SELECT 1) SELECT 1 FROM recent "
        "JOIN orders ON orders.customer_id = 1"),
        "it reads the view recent",
    ),
    ("SELECT 1 FROM nosuch, orders WHERE orders.customer_id = 1", "nosuch is not an ordinary table"),
    ("SELECT 1 FROM orders WHERE customer_id = 1 AND 1 IN nosuch", "nosuch is not an ordinary table"),
    ("SELECT 1 FROM sqlite_schema, orders WHERE orders.customer_id = 1", "sqlite_schema is not an ordinary table"),
    ("SELECT 1 FROM temp.orders WHERE customer_id = 1", "temp.orders lies outside the main schema"),
    ("SELECT 1 FROM other.orders WHERE customer_id = 1", "other.orders lies outside the main schema"),
    ("SELECT 1 FROM orders, json_each(note) WHERE orders.customer_id = 1", "json_each() is a table-valued function"),
    (
        ("SELECT 1 FROM orders, pragma_table_info('x') "
        "WHERE orders.customer_id = 1"),
        "pragma_table_info() is a table-valued function",
    ),
    ('SELECT "a""b" FROM orders WHERE "a""b" = 1', 'it has a name with a quote in it: a""b'),
    ("SELECT 1; SELECT 2", "it is more than one statement"),
    ("SELECT 1 FROM orders WHERE customer_id = 1; garbage", "it is more than one statement"),
    ("", "its text cannot be parsed"), ("-- nothing", "its text cannot be parsed"),
    ("garbage", "its text cannot be parsed"),
    ("SELECT 1 FROM orders WHERE customer_id = 1 garbage garbage", "its text cannot be parsed"),
    ("SELECT '\ud800'", "its text cannot be parsed"),
    ("DELETE FROM orders WHERE customer_id = 1", "it is not a query"),
    ("UPDATE orders SET total = 1 WHERE customer_id = 1", "it is not a query"),
    ("INSERT INTO orders SELECT * FROM orders WHERE customer_id = 1", "it is not a query"),
    ("EXPLAIN SELECT 1 FROM orders WHERE customer_id = 1", "it is not a query"),
    ("PRAGMA user_version", "it is not a query"), (f"SELECT {'(' * 3000}1{')' * 3000}", "it is nested too deeply"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "reason"), UNCLEAR)
def test_what_is_unclear_narrows_nothing(sql: str, reason: str):
    """Every table counts whole, those that it may reach unseen too, and the reason is said."""
    assert narrow(sql, SCHEMA) == dict.fromkeys(SCHEMA.tables, reason)


def test_the_reason_of_a_whole_table_is_in_words():
    """What `explain` shows."""
    sql = "SELECT * FROM orders, logs, customers WHERE customers.id = 1"
    assert narrow(sql, SCHEMA) == {
        O: "it reads orders without holding customer_id or status to given values",
        C: (Reference("id", (Constant(1),)),),
        "logs": "no column of logs is tracked",
    }
    assert narrow("SELECT * FROM orders RIGHT JOIN logs", SCHEMA)[O] == "of a RIGHT JOIN nothing is proved"


def test_a_name_folds_as_sqlite_folds_it():
    """The letters A to Z alone: Ä and ä are two tables."""
    schema = Schema({"ä": Table(("é",), {"é": "INTEGER"})})
    assert narrow("SELECT * FROM ä WHERE é = 1", schema)["ä"] == (Reference("é", (Constant(1),)),)
    assert narrow("SELECT * FROM Ä WHERE é = 1", schema) == {"ä": "Ä is not an ordinary table"}
    assert isinstance(narrow("SELECT * FROM ä WHERE É = 1", schema)["ä"], str)


def test_without_the_parser_nothing_is_narrowed_and_the_reason_says_so(monkeypatch: pytest.MonkeyPatch):
    """Where no wheel of it exists, everything else works."""
    monkeypatch.setattr(syntax, "_parsers", [])
    monkeypatch.setitem(sys.modules, "syntaqlite", None)
    found = narrow("SELECT * FROM orders WHERE customer_id = 1", SCHEMA)
    assert set(found.values()) == {
        "the SQL parser syntaqlite is not installed (pip install 'coeval[track]') or cannot be loaded"
    }


def test_a_parser_of_another_version_narrows_nothing(monkeypatch: pytest.MonkeyPatch):
    """A tree that is not what is known of trees is no proof."""
    known = syntax.parse("SELECT * FROM orders WHERE customer_id = 1")
    torn = {name: below for name, below in known.query.items() if name != "where_clause"}
    monkeypatch.setattr("coeval.coherence.narrowing.parse", lambda _: syntax.Parsed(torn, {}))
    assert set(narrow("SELECT 1", SCHEMA).values()) == {
        "the installed version of syntaqlite is not one that Coeval knows"
    }
    unseen = {**known.query, "new_clause": {"type": "TableSource", "table": {"type": "TableRef", "name": "x"}}}
    monkeypatch.setattr("coeval.coherence.narrowing.parse", lambda _: syntax.Parsed(unseen, {}))
    assert all(isinstance(found, str) for found in narrow("SELECT 1", SCHEMA).values())


def test_many_threads_narrow_at_once():
    """No parser is used by two."""
    start = threading.Barrier(8)
    found = []

    def work(customer: int) -> None:
        start.wait()
        for number in range(100):
            sql = f"SELECT * FROM orders WHERE customer_id IN ({customer}, {number})"
            found.append(narrow(sql, SCHEMA)[O] == (Reference("customer_id", (Constant(customer), Constant(number))),))

    threads = [threading.Thread(target=work, args=(1000 + number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 800
    assert len(syntax._parsers) <= 8


def test_the_parser_is_not_imported_with_coeval():
    """It costs 25 ms, and most programs never track a column."""
    code = "import coeval, sys; sys.exit('syntaqlite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_parameter_is_found_by_number_and_by_name():
    """A sequence is asked by number, a mapping by name; a bare placeholder has no name."""
    found = narrow("SELECT * FROM orders WHERE status IN (?, $x)", SCHEMA)
    assert found[O] == (Reference("status", (Parameter(1), Parameter(2, "x"))),)
