"""A wholesaler's database, with whatever SQLite has: trees, triggers with side effects, cascades, views over views over views, STRICT,
WITHOUT ROWID, generated columns, partial indexes and indexes on expressions, JSON, upserts.
"""

from __future__ import annotations

from wild.changing import Change

SCHEMA = """
CREATE TABLE region (region_id INTEGER PRIMARY KEY, region TEXT NOT NULL COLLATE NOCASE UNIQUE);
CREATE TABLE category (
  category_id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES category ON DELETE SET NULL ON UPDATE CASCADE, category TEXT NOT NULL);
CREATE TABLE supplier (
  supplier_id INTEGER PRIMARY KEY, firm TEXT NOT NULL, region_id INTEGER REFERENCES region ON DELETE SET NULL ON UPDATE CASCADE,
  rating REAL CHECK (rating BETWEEN 0 AND 10)) STRICT;
CREATE TABLE customer (
  customer_id TEXT PRIMARY KEY, company TEXT NOT NULL, mail TEXT, region_id INTEGER REFERENCES region ON DELETE SET NULL ON UPDATE CASCADE,
  CHECK (length(customer_id) > 2)) STRICT, WITHOUT ROWID;
CREATE TABLE employee (
  employee_id INTEGER PRIMARY KEY, boss_id INTEGER REFERENCES employee ON DELETE SET NULL ON UPDATE CASCADE, name TEXT, salary NUMERIC);
CREATE TABLE product (
  product_id INTEGER PRIMARY KEY, title TEXT NOT NULL, category_id INTEGER REFERENCES category ON DELETE SET NULL ON UPDATE CASCADE,
  supplier_id INTEGER REFERENCES supplier ON DELETE SET NULL ON UPDATE CASCADE, cost REAL NOT NULL, stock INTEGER DEFAULT 10,
  tags TEXT CHECK (json_valid(tags)), gross REAL GENERATED ALWAYS AS (round(cost * 1.2, 2)) VIRTUAL,
  label TEXT AS (upper(substr(title, 1, 3)) || '-' || product_id) STORED);
CREATE TABLE purchase (
  purchase_id INTEGER PRIMARY KEY AUTOINCREMENT, customer_id TEXT REFERENCES customer ON DELETE CASCADE ON UPDATE CASCADE,
  employee_id INTEGER REFERENCES employee ON DELETE SET NULL ON UPDATE CASCADE, placed TEXT NOT NULL, shipped TEXT, freight REAL);
CREATE TABLE line (
  purchase_id INTEGER REFERENCES purchase ON DELETE CASCADE ON UPDATE CASCADE,
  product_id INTEGER REFERENCES product ON DELETE CASCADE ON UPDATE CASCADE,
  quantity INTEGER NOT NULL, unit_cost REAL, discount REAL DEFAULT 0, PRIMARY KEY (purchase_id, product_id)) WITHOUT ROWID;
CREATE TABLE setting (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE cost_history (product_id INTEGER, cost REAL, number INTEGER PRIMARY KEY);
CREATE TABLE stock_log (number INTEGER PRIMARY KEY, product_id INTEGER, delta INTEGER);

CREATE INDEX waiting ON purchase(placed) WHERE shipped IS NULL;
CREATE UNIQUE INDEX mail_of ON customer(lower(mail)) WHERE mail IS NOT NULL;
CREATE INDEX cheap ON product(gross) WHERE cost < 20;
CREATE INDEX by_year ON purchase(substr(placed, 1, 4), customer_id);

CREATE TRIGGER sold AFTER INSERT ON line BEGIN
  UPDATE product SET stock = stock - NEW.quantity WHERE product_id = NEW.product_id;
  INSERT INTO stock_log(product_id, delta) VALUES (NEW.product_id, -NEW.quantity);
END;
CREATE TRIGGER returned AFTER DELETE ON line BEGIN
  UPDATE product SET stock = stock + OLD.quantity WHERE product_id = OLD.product_id;
  INSERT INTO stock_log(product_id, delta) VALUES (OLD.product_id, OLD.quantity);
END;
CREATE TRIGGER recounted AFTER UPDATE OF quantity ON line WHEN NEW.quantity <> OLD.quantity BEGIN
  UPDATE product SET stock = stock + OLD.quantity - NEW.quantity WHERE product_id = NEW.product_id;
END;
CREATE TRIGGER dearer AFTER UPDATE OF cost ON product BEGIN
  INSERT INTO cost_history(product_id, cost) VALUES (OLD.product_id, OLD.cost);
END;

CREATE VIEW line_value AS SELECT *, quantity * unit_cost * (1 - discount) AS value FROM line;
CREATE VIEW purchase_value AS
  SELECT purchase_id, customer_id, placed, count(*) AS lines, sum(value) AS value
  FROM purchase NATURAL JOIN line_value GROUP BY purchase_id;
CREATE VIEW customer_value AS
  SELECT customer_id, company, region_id, coalesce(sum(value), 0) AS value FROM customer LEFT JOIN purchase_value USING (customer_id)
  GROUP BY customer_id;
CREATE VIEW region_value AS SELECT region, sum(value) AS value FROM region JOIN customer_value USING (region_id) GROUP BY region;
CREATE VIEW offer AS SELECT product_id, title, gross FROM product WHERE stock > 0;
CREATE TRIGGER offered INSTEAD OF UPDATE OF gross ON offer BEGIN
  UPDATE product SET cost = round(NEW.gross / 1.2, 2) WHERE product_id = OLD.product_id;
END;
CREATE VIEW waiting_purchase AS SELECT * FROM purchase WHERE shipped IS NULL;

INSERT INTO region VALUES (1, 'North'), (2, 'South'), (3, 'East'), (4, 'nowhere');
INSERT INTO category VALUES (1, NULL, 'goods'), (2, 1, 'food'), (3, 1, 'tools'), (4, 2, 'fruit'), (5, 2, 'bread'), (6, 4, 'berries');
INSERT INTO supplier SELECT value, 'Firm ' || value, value % 3 + 1, value * 1.5 FROM generate(6);
INSERT INTO customer SELECT 'CUS' || value, 'Company ' || value, CASE WHEN value % 4 THEN 'Mail' || value || '@example.org' END,
  value % 3 + 1 FROM generate(9);
INSERT INTO employee VALUES (1, NULL, 'Ada', 9000), (2, 1, 'Bo', 5000.5), (3, 1, 'Cy', 5000), (4, 2, 'Di', 3000), (5, 4, 'Ed', 2000);
INSERT INTO product(product_id, title, category_id, supplier_id, cost, stock, tags) SELECT value, 'Thing ' || char(64 + value),
  value % 6 + 1, value % 5 + 1, value * 3.5, value * 7 - 20, json_array('t' || (value % 3), iif(value % 2, 'odd', 'even'))
  FROM generate(12);
INSERT INTO purchase SELECT value, 'CUS' || (value % 7 + 1), value % 4 + 1, '202' || (value % 4) || '-0' || (value % 8 + 1) || '-11',
  CASE WHEN value % 5 THEN '2024-09-' || (10 + value % 20) END, value * 0.75 FROM generate(24);
INSERT INTO line SELECT value / 3 + 1, value % 11 + 1, value % 5 + 1, value % 11 * 4, (value % 3) / 10.0 FROM generate(60);
INSERT INTO setting VALUES ('currency', 'EUR'), ('vat', 0.2), ('limit', 100), ('note', NULL);
UPDATE product SET cost = cost + 1 WHERE product_id < 4;
"""


def script() -> str:
    """The schema and its rows: ``generate(n)`` stands for the numbers from 1 to n."""
    text = SCHEMA
    for most in (6, 9, 12, 24, 60):
        numbers = f"(WITH RECURSIVE g(value) AS (VALUES (1) UNION ALL SELECT value + 1 FROM g WHERE value < {most}) SELECT value FROM g)"
        text = text.replace(f"generate({most})", numbers)
    return text


#: Every column that can be written: what it becomes, and what else that writes to, by triggers and cascades. Tables stand in
#: an order in which they can be filled again: what triggers write to comes behind.
COLUMNS: dict[str, dict[str, tuple[str, str]]] = {
    "line": {
        "purchase_id": ("purchase_id % 20 + 5", ""),
        "product_id": ("(product_id + 5) % 12 + 1", ""),
        "quantity": ("quantity + product_id", "product"),
        "unit_cost": ("unit_cost * 2 + 1", ""),
        "discount": ("discount / 2 + 0.05", ""),
    },
    "purchase": {
        "purchase_id": ("purchase_id + 100", "line"),
        "customer_id": ("'CUS' || (purchase_id % 4 + 3)", ""),
        "employee_id": ("purchase_id % 3 + 2", ""),
        "placed": ("'2021' || substr(placed, 5)", ""),
        "shipped": ("iif(shipped IS NULL, '2025-01-01', NULL)", ""),
        "freight": ("freight + purchase_id % 7 * 10", ""),
    },
    "customer": {
        "customer_id": ("'X' || customer_id", "purchase"),
        "company": ("'The ' || company", ""),
        "mail": ("'new' || customer_id || '@EXAMPLE.org'", ""),
        "region_id": ("4", ""),
    },
    "product": {
        "product_id": ("product_id + 50", "line"),
        "title": ("'New ' || title", ""),
        "category_id": ("category_id % 3 + 2", ""),
        "supplier_id": ("6", ""),
        "cost": ("cost + 20", "cost_history"),
        "stock": ("stock - 30", ""),
        "tags": ("json_array('sale')", ""),
    },
    "category": {
        "category_id": ("category_id * 10", "product"),
        "parent_id": ("iif(category_id = 4, 3, parent_id)", ""),
        "category": ("category || '!'", ""),
    },
    "supplier": {
        "supplier_id": ("supplier_id + 40", "product"),
        "firm": ("firm || ' Ltd'", ""),
        "region_id": ("NULL", ""),
        "rating": ("10 - rating", ""),
    },
    "region": {
        "region_id": ("region_id + 7", "customer supplier"),
        "region": ("'Far ' || region", ""),
    },
    "employee": {
        "employee_id": ("employee_id + 30", "purchase"),
        "boss_id": ("iif(employee_id = 5, 3, boss_id)", ""),
        "name": ("name || 'a'", ""),
        "salary": ("10000 - salary", ""),
    },
    "setting": {"name": ("name || '2'", ""), "value": ("'other'", "")},
    "cost_history": {
        "product_id": ("product_id + 1", ""),
        "cost": ("cost * 9", ""),
        "number": ("number + 10", ""),
    },
    "stock_log": {"number": ("number + 1000", ""), "product_id": ("12", ""), "delta": ("delta * 3", "")},
}

#: Other ways to write, by name: the statement, and the tables that it may write to.
WRITES: dict[str, tuple[str, str]] = {
    "insert that fires": ("INSERT INTO line VALUES (24, 12, 3, 5.5, 0)", "line product stock_log"),
    "delete that fires": ("DELETE FROM line WHERE quantity = 5", "line product stock_log"),
    "delete that cascades twice": (
        "DELETE FROM customer WHERE customer_id = 'CUS3'",
        "customer purchase line product stock_log",
    ),
    "delete of a boss": ("DELETE FROM employee WHERE employee_id = 2", "employee purchase"),
    "delete of a branch": ("DELETE FROM category WHERE category_id = 4", "category product"),
    "delete of a region": ("DELETE FROM region WHERE region_id = 2", "region customer supplier"),
    "delete of a supplier": ("DELETE FROM supplier WHERE supplier_id = 2", "supplier product"),
    "delete of a product": ("DELETE FROM product WHERE product_id = 8", "product line stock_log"),
    "insert of a product": (
        "INSERT INTO product(title, category_id, supplier_id, cost, stock, tags) VALUES ('Aaa', 6, 6, 1, 99, '[\"new\",\"t0\"]')",
        "product",
    ),
    "insert of a purchase": ("INSERT INTO purchase(customer_id, placed) VALUES ('CUS9', '2020-01-01')", "purchase"),
    "insert of a category": ("INSERT INTO category VALUES (7, 6, 'dried')", "category"),
    "insert of a supplier": ("INSERT INTO supplier VALUES (9, 'Nine', 4, 9.9)", "supplier"),
    "insert of a region": ("INSERT INTO region VALUES (9, 'Zoo')", "region"),
    "insert of a customer": ("INSERT INTO customer VALUES ('CUSX', 'X', NULL, 4)", "customer"),
    "insert of an employee": ("INSERT INTO employee VALUES (6, 5, 'Flo', 99999)", "employee"),
    "insert into the history": ("INSERT INTO cost_history(product_id, cost) VALUES (5, 1)", "cost_history"),
    "insert into the log": ("INSERT INTO stock_log(product_id, delta) VALUES (5, 1)", "stock_log"),
    "all settings gone": ("DELETE FROM setting", "setting"),
    "all of the log gone": ("DELETE FROM stock_log", "stock_log"),
    "all of the history gone": ("DELETE FROM cost_history", "cost_history"),
    "upsert that updates": (
        "INSERT INTO setting VALUES ('limit', 5) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value",
        "setting",
    ),
    "upsert that inserts": ("INSERT INTO setting VALUES ('new', 5) ON CONFLICT DO NOTHING", "setting"),
    "upsert that fires": (
        "INSERT INTO line VALUES (1, 2, 9, 1, 0), (24, 11, 4, 1, 0) ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity",
        "line product stock_log",
    ),
    "replace": ("REPLACE INTO setting VALUES ('vat', 0.3)", "setting"),
    "replace of another unique key": (
        "INSERT OR REPLACE INTO region VALUES (8, 'SOUTH')",
        "region customer supplier",
    ),
    "update or replace": ("UPDATE OR REPLACE setting SET name = 'vat' WHERE name = 'limit'", "setting"),
    "update from": (
        (
            "UPDATE product SET stock = stock + n.sold FROM (SELECT product_id AS id, sum(quantity) AS sold FROM line GROUP BY 1) AS n "
            "WHERE n.id = product_id"
        ),
        "product",
    ),
    "update through a view": ("UPDATE offer SET gross = gross + 12 WHERE product_id = 7", "product cost_history"),
    "update by a window": (
        (
            "WITH r AS (SELECT employee_id AS id, row_number() OVER (ORDER BY salary DESC) AS n FROM employee) "
            "UPDATE employee SET salary = salary + 100 * (SELECT n FROM r WHERE id = employee_id)"
        ),
        "employee",
    ),
    "insert from a recursion": (
        (
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5) "
            "INSERT INTO cost_history(product_id, cost) SELECT i, i FROM n RETURNING number"
        ),
        "cost_history",
    ),
}


def changes() -> dict[str, Change]:
    """Every column, and every other way to write."""
    found = {}
    for table, columns in COLUMNS.items():
        for column, (new, extra) in columns.items():
            name = f"{table}.{column}"
            found[name] = Change(name, (f"UPDATE {table} SET {column} = {new}",), frozenset({table, *extra.split()}))
    for name, (sql, touched) in WRITES.items():
        found[name] = Change(name, (sql,), frozenset(touched.split()), thorough=True)
    return found
