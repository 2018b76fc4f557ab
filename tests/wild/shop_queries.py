"""What is asked of the wholesaler's database, and the tables that each answer depends on, as its author says."""

from __future__ import annotations

from wild.changing import Query


def _query(tables: str, sql: str, clock: bool = False) -> Query:
    return Query(" ".join(sql.split()), frozenset(tables.split()), (), clock)


QUERIES = {
    "view over view over view": _query(
        "region customer purchase line", "SELECT region, round(value, 4) FROM region_value ORDER BY region"
    ),
    "view with an outer join": _query(
        "customer purchase line",
        "SELECT customer_id, company, value FROM customer_value ORDER BY value DESC, customer_id",
    ),
    "view that filters": _query("product", "SELECT title, gross FROM offer ORDER BY gross"),
    "view over a partial index": _query("purchase", "SELECT count(*), min(placed) FROM waiting_purchase"),
    "partial index": _query(
        "purchase", "SELECT purchase_id FROM purchase WHERE shipped IS NULL ORDER BY placed, purchase_id"
    ),
    "index on an expression": _query(
        "customer", "SELECT company FROM customer WHERE lower(mail) = 'mail3@example.org'"
    ),
    "index that covers": _query("purchase", "SELECT substr(placed, 1, 4), count(*) FROM purchase GROUP BY 1"),
    "generated columns": _query("product", "SELECT label, gross FROM product WHERE gross < 30 ORDER BY label"),
    "strict and without rowid": _query("setting", "SELECT name, value, typeof(value) FROM setting ORDER BY name"),
    "natural join": _query(
        "purchase line", "SELECT purchase_id, sum(quantity) FROM purchase NATURAL JOIN line GROUP BY 1"
    ),
    "using": _query(
        "product supplier region",
        "SELECT title, firm, region FROM product JOIN supplier USING (supplier_id) LEFT JOIN region USING (region_id) ORDER BY title",
    ),
    "full outer join": _query(
        "supplier product",
        "SELECT firm, title FROM supplier FULL JOIN product ON product.supplier_id = supplier.supplier_id ORDER BY firm, title",
    ),
    "cross join": _query(
        "region setting", "SELECT region, name FROM region CROSS JOIN setting WHERE value IS NOT NULL ORDER BY 1, 2"
    ),
    "self join": _query(
        "employee",
        "SELECT e.name, b.name FROM employee AS e LEFT JOIN employee AS b ON b.employee_id = e.boss_id ORDER BY e.name",
    ),
    "exists": _query(
        "customer purchase",
        "SELECT company FROM customer AS c WHERE EXISTS (SELECT 1 FROM purchase WHERE customer_id = c.customer_id "
        "AND shipped IS NULL) ORDER BY company",
    ),
    "not exists": _query(
        "product line purchase",
        "SELECT title FROM product AS p WHERE NOT EXISTS (SELECT 1 FROM line JOIN purchase USING (purchase_id) "
        "WHERE product_id = p.product_id AND placed > '2023') ORDER BY title",
    ),
    "not in": _query(
        "customer purchase",
        "SELECT company FROM customer WHERE customer_id NOT IN (SELECT customer_id FROM purchase) ORDER BY 1",
    ),
    "correlated in the result": _query(
        "category product",
        "SELECT category, (SELECT count(*) FROM product WHERE product.category_id = category.category_id) FROM category ORDER BY 1",
    ),
    "correlated in the condition": _query(
        "product",
        "SELECT title FROM product AS p WHERE cost > (SELECT avg(cost) FROM product WHERE supplier_id = p.supplier_id) ORDER BY 1",
    ),
    "correlated in the order": _query(
        "supplier product",
        "SELECT firm FROM supplier AS s ORDER BY (SELECT max(cost) FROM product WHERE supplier_id = s.supplier_id) DESC, firm",
    ),
    "subquery in a limit": _query(
        "purchase setting",
        "SELECT purchase_id FROM purchase ORDER BY freight DESC LIMIT (SELECT count(value) FROM setting)",
    ),
    "subquery in a join": _query(
        "employee purchase",
        "SELECT name, n FROM employee JOIN (SELECT employee_id, count(*) AS n FROM purchase GROUP BY 1) USING (employee_id) ORDER BY 1",
    ),
    "subquery in a case": _query(
        "setting stock_log",
        "SELECT CASE WHEN (SELECT value FROM setting WHERE name = 'vat') > 0 THEN (SELECT sum(delta) FROM stock_log) END",
    ),
    "union": _query("supplier customer", "SELECT firm FROM supplier UNION SELECT company FROM customer ORDER BY 1"),
    "union all": _query(
        "cost_history product",
        "SELECT product_id, cost FROM cost_history UNION ALL SELECT product_id, cost FROM product ORDER BY 1, 2",
    ),
    "except": _query("product line", "SELECT product_id FROM product EXCEPT SELECT product_id FROM line ORDER BY 1"),
    "intersect": _query(
        "supplier customer", "SELECT region_id FROM supplier INTERSECT SELECT region_id FROM customer ORDER BY 1"
    ),
    "recursion down": _query(
        "category product",
        "WITH RECURSIVE below(id, path) AS (SELECT category_id, category FROM category WHERE parent_id IS NULL UNION ALL "
        "SELECT category_id, path || '/' || category FROM category JOIN below ON parent_id = below.id) "
        "SELECT path, count(product_id) FROM below LEFT JOIN product ON category_id = below.id GROUP BY path ORDER BY path",
    ),
    "recursion up": _query(
        "employee",
        "WITH RECURSIVE up(id, depth) AS (SELECT 5, 0 UNION SELECT boss_id, depth + 1 FROM employee JOIN up ON employee_id = up.id "
        "WHERE boss_id IS NOT NULL) SELECT name, depth FROM up JOIN employee ON employee_id = up.id ORDER BY depth",
    ),
    "common tables, one unused": _query(
        "purchase line",
        "WITH unused AS (SELECT * FROM region), big AS MATERIALIZED (SELECT purchase_id FROM line GROUP BY 1 HAVING sum(quantity) > 8), "
        "late AS NOT MATERIALIZED (SELECT * FROM purchase WHERE shipped IS NOT NULL) "
        "SELECT placed FROM late WHERE purchase_id IN big ORDER BY placed",
    ),
    "a common table named as another": _query(
        "customer",
        "WITH purchase AS (SELECT customer_id FROM customer) SELECT count(*), max(customer_id) FROM purchase",
    ),
    "windows": _query(
        "product",
        "SELECT title, rank() OVER w, "
        "sum(cost) OVER (PARTITION BY category_id ORDER BY product_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), "
        "lag(title) OVER (ORDER BY stock) FROM product WINDOW w AS (PARTITION BY supplier_id ORDER BY cost DESC) ORDER BY product_id",
    ),
    "windows over groups": _query(
        "purchase line",
        "SELECT placed, sum(quantity), sum(sum(quantity)) OVER (ORDER BY placed) "
        "FROM purchase JOIN line USING (purchase_id) GROUP BY placed",
    ),
    "aggregates that filter": _query(
        "line",
        "SELECT count(*) FILTER (WHERE discount > 0), total(quantity), group_concat(DISTINCT quantity) FROM line",
    ),
    "bare columns beside an aggregate": _query("product", "SELECT title, max(cost) FROM product"),
    "row values": _query(
        "line",
        "SELECT quantity FROM line WHERE (purchase_id, product_id) IN (VALUES (1, 2), (5, 5), (7, 9), (21, 6)) ORDER BY 1",
    ),
    "having": _query(
        "supplier product",
        "SELECT firm FROM supplier JOIN product USING (supplier_id) GROUP BY firm HAVING count(*) >= 2 AND min(rating) > 2 ORDER BY firm",
    ),
    "likeness": _query(
        "region", "SELECT region FROM region WHERE region LIKE 'n%' OR region GLOB 'S*' ORDER BY region"
    ),
    "json that is made": _query(
        "employee", "SELECT json_group_array(json_object('n', name, 's', salary)) FROM employee"
    ),
    "json of a column": _query(
        "product",
        "SELECT value, count(*) FROM product, json_each(product.tags) GROUP BY value ORDER BY value",
        clock=True,
    ),
    "json tree of a column": _query(
        "product setting",
        "SELECT title, (SELECT group_concat(atom) FROM json_tree(tags)) FROM product WHERE (SELECT count(*) FROM setting) > 0 ORDER BY 1",
        clock=True,
    ),
    "effects of triggers": _query(
        "stock_log cost_history",
        "SELECT count(*), sum(delta), (SELECT sum(cost) FROM cost_history) FROM stock_log",
    ),
    "keys that cascade": _query(
        "category supplier",
        "SELECT category_id, parent_id FROM category UNION ALL SELECT supplier_id, NULL FROM supplier",
    ),
    "the last of each": _query(
        "cost_history",
        "SELECT product_id, number, cost FROM cost_history AS h WHERE number = (SELECT max(number) FROM cost_history "
        "WHERE product_id = h.product_id) ORDER BY 1",
    ),
    "the first and the last": _query(
        "stock_log",
        "SELECT max(number), first_value(product_id) OVER (ORDER BY number) FROM stock_log GROUP BY product_id",
    ),
    "count alone": _query("employee", "SELECT count(*) FROM employee"),
}
