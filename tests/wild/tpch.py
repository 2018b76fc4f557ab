"""TPC-H: the schema and the 22 queries of the specification (revision 3), in SQLite's dialect.

Interval arithmetic is done beforehand and years are taken by substr: SQLite's date functions might be asked for the time of day, and
statements that use them are not cached. Views stand where the specification has them. Parameters are chosen from the data, as the
specification has them drawn, so that no result is empty at a scale this small.
"""

from __future__ import annotations

import re

SCHEMA = """
CREATE TABLE region (r_regionkey INTEGER PRIMARY KEY, r_name CHAR(25), r_comment VARCHAR(152));
CREATE TABLE nation (n_nationkey INTEGER PRIMARY KEY, n_name CHAR(25), n_regionkey INTEGER REFERENCES region, n_comment VARCHAR(152));
CREATE TABLE supplier (
  s_suppkey INTEGER PRIMARY KEY, s_name CHAR(25), s_address VARCHAR(40), s_nationkey INTEGER REFERENCES nation, s_phone CHAR(15),
  s_acctbal DECIMAL(15,2), s_comment VARCHAR(101));
CREATE TABLE customer (
  c_custkey INTEGER PRIMARY KEY, c_name VARCHAR(25), c_address VARCHAR(40), c_nationkey INTEGER REFERENCES nation, c_phone CHAR(15),
  c_acctbal DECIMAL(15,2), c_mktsegment CHAR(10), c_comment VARCHAR(117));
CREATE TABLE part (
  p_partkey INTEGER PRIMARY KEY, p_name VARCHAR(55), p_mfgr CHAR(25), p_brand CHAR(10), p_type VARCHAR(25), p_size INTEGER,
  p_container CHAR(10), p_retailprice DECIMAL(15,2), p_comment VARCHAR(23));
CREATE TABLE partsupp (
  ps_partkey INTEGER REFERENCES part, ps_suppkey INTEGER REFERENCES supplier, ps_availqty INTEGER, ps_supplycost DECIMAL(15,2),
  ps_comment VARCHAR(199), PRIMARY KEY (ps_partkey, ps_suppkey));
CREATE TABLE orders (
  o_orderkey INTEGER PRIMARY KEY, o_custkey INTEGER REFERENCES customer, o_orderstatus CHAR(1), o_totalprice DECIMAL(15,2),
  o_orderdate DATE, o_orderpriority CHAR(15), o_clerk CHAR(15), o_shippriority INTEGER, o_comment VARCHAR(79));
CREATE TABLE lineitem (
  l_orderkey INTEGER REFERENCES orders, l_partkey INTEGER, l_suppkey INTEGER, l_linenumber INTEGER, l_quantity DECIMAL(15,2),
  l_extendedprice DECIMAL(15,2), l_discount DECIMAL(15,2), l_tax DECIMAL(15,2), l_returnflag CHAR(1), l_linestatus CHAR(1),
  l_shipdate DATE, l_commitdate DATE, l_receiptdate DATE, l_shipinstruct CHAR(25), l_shipmode CHAR(10), l_comment VARCHAR(44),
  PRIMARY KEY (l_orderkey, l_linenumber));
CREATE INDEX o_by_customer ON orders(o_custkey);
CREATE INDEX l_by_part ON lineitem(l_partkey, l_suppkey);
CREATE VIEW revenue (supplier_no, total_revenue) AS
  SELECT l_suppkey, sum(l_extendedprice * (1 - l_discount)) FROM lineitem
  WHERE l_shipdate >= '1996-01-01' AND l_shipdate < '1996-04-01' GROUP BY l_suppkey;
"""

#: A scale this small has none of the rare rows of which the specification has a few: here they are.
PLANTED = """
UPDATE supplier SET s_comment = 'slyly Customer bold Complaints' WHERE s_suppkey = (SELECT max(ps_suppkey) FROM partsupp);
UPDATE part SET p_container = 'SM CASE', p_size = 3 WHERE p_partkey IN (SELECT l_partkey FROM lineitem ORDER BY l_partkey LIMIT 9);
UPDATE lineitem SET l_shipmode = 'AIR', l_shipinstruct = 'DELIVER IN PERSON'
  WHERE l_partkey IN (SELECT p_partkey FROM part WHERE p_container = 'SM CASE' AND p_size = 3);
UPDATE orders SET o_comment = 'special packages requests' WHERE o_orderkey IN (SELECT o_orderkey FROM orders ORDER BY o_orderkey LIMIT 3);
"""

TABLES = {
    name: tuple(re.findall(r"\b([a-z]{1,2}_\w+) (?:INTEGER|CHAR|VARCHAR|DECIMAL|DATE)", body))
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\);\n", SCHEMA, re.DOTALL)
}

QUERIES = {
    1: """
SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), sum(l_extendedprice * (1 - l_discount)),
  sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)), avg(l_quantity), avg(l_extendedprice), avg(l_discount), count(*)
FROM lineitem WHERE l_shipdate <= ? GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus""",
    2: """
SELECT s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment
FROM part, supplier, partsupp, nation, region
WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_size = ?1 AND p_type LIKE ?2 AND s_nationkey = n_nationkey
  AND n_regionkey = r_regionkey AND r_name = ?3 AND ps_supplycost = (
    SELECT min(ps_supplycost) FROM partsupp, supplier, nation, region
    WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = ?3)
ORDER BY s_acctbal DESC, n_name, s_name, p_partkey LIMIT 100""",
    3: """
SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
FROM customer, orders, lineitem
WHERE c_mktsegment = ?1 AND c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate < ?2 AND l_shipdate > ?2
GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10""",
    4: """
SELECT o_orderpriority, count(*) FROM orders
WHERE o_orderdate >= ? AND o_orderdate < ?
  AND EXISTS (SELECT * FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
GROUP BY o_orderpriority ORDER BY o_orderpriority""",
    5: """
SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue
FROM customer, orders, lineitem, supplier, nation, region
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey
  AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = ? AND o_orderdate >= ? AND o_orderdate < ?
GROUP BY n_name ORDER BY revenue DESC""",
    6: """
SELECT sum(l_extendedprice * l_discount) FROM lineitem
WHERE l_shipdate >= ? AND l_shipdate < ? AND l_discount BETWEEN ? AND ? AND l_quantity < ?""",
    7: """
SELECT supp_nation, cust_nation, l_year, sum(volume) FROM (
  SELECT n1.n_name AS supp_nation, n2.n_name AS cust_nation, substr(l_shipdate, 1, 4) AS l_year,
    l_extendedprice * (1 - l_discount) AS volume
  FROM supplier, lineitem, orders, customer, nation n1, nation n2
  WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey AND c_custkey = o_custkey AND s_nationkey = n1.n_nationkey
    AND c_nationkey = n2.n_nationkey
    AND ((n1.n_name = ?1 AND n2.n_name = ?2) OR (n1.n_name = ?2 AND n2.n_name = ?1))
    AND l_shipdate BETWEEN '1995-01-01' AND '1996-12-31') AS shipping
GROUP BY supp_nation, cust_nation, l_year ORDER BY supp_nation, cust_nation, l_year""",
    8: """
SELECT o_year, sum(CASE WHEN nation = ?1 THEN volume ELSE 0 END) / sum(volume) FROM (
  SELECT substr(o_orderdate, 1, 4) AS o_year, l_extendedprice * (1 - l_discount) AS volume, n2.n_name AS nation
  FROM part, supplier, lineitem, orders, customer, nation n1, nation n2, region
  WHERE p_partkey = l_partkey AND s_suppkey = l_suppkey AND l_orderkey = o_orderkey AND o_custkey = c_custkey
    AND c_nationkey = n1.n_nationkey AND n1.n_regionkey = r_regionkey AND r_name = ?2 AND s_nationkey = n2.n_nationkey
    AND o_orderdate BETWEEN '1995-01-01' AND '1996-12-31' AND p_type = ?3) AS all_nations
GROUP BY o_year ORDER BY o_year""",
    9: """
SELECT nation, o_year, sum(amount) FROM (
  SELECT n_name AS nation, substr(o_orderdate, 1, 4) AS o_year,
    l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity AS amount
  FROM part, supplier, lineitem, partsupp, orders, nation
  WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey AND ps_partkey = l_partkey AND p_partkey = l_partkey
    AND o_orderkey = l_orderkey AND s_nationkey = n_nationkey AND p_name LIKE ?) AS profit
GROUP BY nation, o_year ORDER BY nation, o_year DESC""",
    10: """
SELECT c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) AS revenue, c_acctbal, n_name, c_address, c_phone, c_comment
FROM customer, orders, lineitem, nation
WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate >= ? AND o_orderdate < ? AND l_returnflag = 'R'
  AND c_nationkey = n_nationkey
GROUP BY c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment ORDER BY revenue DESC LIMIT 20""",
    11: """
SELECT ps_partkey, sum(ps_supplycost * ps_availqty) AS value FROM partsupp, supplier, nation
WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = ?1
GROUP BY ps_partkey HAVING sum(ps_supplycost * ps_availqty) > (
  SELECT sum(ps_supplycost * ps_availqty) * ?2 FROM partsupp, supplier, nation
  WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = ?1)
ORDER BY value DESC""",
    12: """
SELECT l_shipmode,
  sum(CASE WHEN o_orderpriority = '1-URGENT' OR o_orderpriority = '2-HIGH' THEN 1 ELSE 0 END),
  sum(CASE WHEN o_orderpriority <> '1-URGENT' AND o_orderpriority <> '2-HIGH' THEN 1 ELSE 0 END)
FROM orders, lineitem
WHERE o_orderkey = l_orderkey AND l_shipmode IN (?, ?) AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate
  AND l_receiptdate >= ? AND l_receiptdate < ?
GROUP BY l_shipmode ORDER BY l_shipmode""",
    13: """
SELECT c_count, count(*) AS custdist FROM (
  SELECT c_custkey, count(o_orderkey) AS c_count
  FROM customer LEFT OUTER JOIN orders ON c_custkey = o_custkey AND o_comment NOT LIKE ?
  GROUP BY c_custkey) AS c_orders
GROUP BY c_count ORDER BY custdist DESC, c_count DESC""",
    14: """
SELECT 100.00 * sum(CASE WHEN p_type LIKE 'PROMO%' THEN l_extendedprice * (1 - l_discount) ELSE 0 END)
  / sum(l_extendedprice * (1 - l_discount))
FROM lineitem, part WHERE l_partkey = p_partkey AND l_shipdate >= ? AND l_shipdate < ?""",
    15: """
SELECT s_suppkey, s_name, s_address, s_phone, total_revenue FROM supplier, revenue
WHERE s_suppkey = supplier_no AND total_revenue = (SELECT max(total_revenue) FROM revenue) ORDER BY s_suppkey""",
    16: """
SELECT p_brand, p_type, p_size, count(DISTINCT ps_suppkey) AS supplier_cnt FROM partsupp, part
WHERE p_partkey = ps_partkey AND p_brand <> ? AND p_type NOT LIKE ? AND p_size IN (?, ?, ?, ?, ?, ?, ?, ?)
  AND ps_suppkey NOT IN (SELECT s_suppkey FROM supplier WHERE s_comment LIKE '%Customer%Complaints%')
GROUP BY p_brand, p_type, p_size ORDER BY supplier_cnt DESC, p_brand, p_type, p_size""",
    17: """
SELECT sum(l_extendedprice) / 7.0 FROM lineitem, part
WHERE p_partkey = l_partkey AND p_brand = ? AND p_container = ?
  AND l_quantity < (SELECT 0.2 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey)""",
    18: """
SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity) FROM customer, orders, lineitem
WHERE o_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > ?)
  AND c_custkey = o_custkey AND o_orderkey = l_orderkey
GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice ORDER BY o_totalprice DESC, o_orderdate LIMIT 100""",
    19: """
SELECT sum(l_extendedprice * (1 - l_discount)) FROM lineitem, part
WHERE (p_partkey = l_partkey AND p_brand = ?1 AND p_container IN ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG')
    AND l_quantity >= ?2 AND l_quantity <= ?2 + 10 AND p_size BETWEEN 1 AND 5
    AND l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON')
  OR (p_partkey = l_partkey AND p_brand = ?3 AND p_container IN ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK')
    AND l_quantity >= ?4 AND l_quantity <= ?4 + 10 AND p_size BETWEEN 1 AND 10
    AND l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON')
  OR (p_partkey = l_partkey AND p_brand = ?5 AND p_container IN ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG')
    AND l_quantity >= ?6 AND l_quantity <= ?6 + 10 AND p_size BETWEEN 1 AND 15
    AND l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON')""",
    20: """
SELECT s_name, s_address FROM supplier, nation
WHERE s_suppkey IN (
    SELECT ps_suppkey FROM partsupp
    WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE ?1) AND ps_availqty > (
      SELECT 0.5 * sum(l_quantity) FROM lineitem
      WHERE l_partkey = ps_partkey AND l_suppkey = ps_suppkey AND l_shipdate >= ?2 AND l_shipdate < ?3))
  AND s_nationkey = n_nationkey AND n_name = ?4 ORDER BY s_name""",
    21: """
SELECT s_name, count(*) AS numwait FROM supplier, lineitem l1, orders, nation
WHERE s_suppkey = l1.l_suppkey AND o_orderkey = l1.l_orderkey AND o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate
  AND EXISTS (SELECT * FROM lineitem l2 WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
  AND NOT EXISTS (SELECT * FROM lineitem l3 WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey
    AND l3.l_receiptdate > l3.l_commitdate)
  AND s_nationkey = n_nationkey AND n_name = ?
GROUP BY s_name ORDER BY numwait DESC, s_name LIMIT 100""",
    22: """
SELECT cntrycode, count(*), sum(c_acctbal) FROM (
  SELECT substr(c_phone, 1, 2) AS cntrycode, c_acctbal FROM customer
  WHERE substr(c_phone, 1, 2) IN (?1, ?2, ?3, ?4, ?5, ?6, ?7) AND c_acctbal > (
      SELECT avg(c_acctbal) FROM customer WHERE c_acctbal > 0.00 AND substr(c_phone, 1, 2) IN (?1, ?2, ?3, ?4, ?5, ?6, ?7))
    AND NOT EXISTS (SELECT * FROM orders WHERE o_custkey = c_custkey)) AS custsale
GROUP BY cntrycode ORDER BY cntrycode""",
}

_SUPPLIED = "lineitem JOIN orders ON o_orderkey = l_orderkey JOIN customer ON c_custkey = o_custkey JOIN supplier ON s_suppkey = l_suppkey"

#: What gives the parameters: values, or a statement whose values, row by row, they are.
PARAMETERS: dict[int, tuple[object, ...] | str] = {
    1: ("1998-09-02",),
    2: "SELECT p_size, '%' || replace(p_type, rtrim(p_type, replace(p_type, ' ', '')), ''), r_name FROM part "
    "JOIN partsupp ON ps_partkey = p_partkey JOIN supplier ON s_suppkey = ps_suppkey JOIN nation ON n_nationkey = s_nationkey "
    "JOIN region ON r_regionkey = n_regionkey GROUP BY p_partkey, r_name HAVING count(*) > 1 ORDER BY p_partkey LIMIT 1",
    3: "SELECT c_mktsegment, '1995-03-15' FROM customer JOIN orders ON o_custkey = c_custkey JOIN lineitem ON l_orderkey = o_orderkey "
    "WHERE o_orderdate < '1995-03-15' AND l_shipdate > '1995-03-15' ORDER BY c_custkey LIMIT 1",
    4: ("1993-07-01", "1993-10-01"),
    5: f"SELECT r_name, substr(o_orderdate, 1, 4) || '-01-01', (substr(o_orderdate, 1, 4) + 1) || '-01-01' FROM {_SUPPLIED} "
    "JOIN nation ON n_nationkey = s_nationkey JOIN region ON r_regionkey = n_regionkey WHERE c_nationkey = s_nationkey LIMIT 1",
    6: ("1994-01-01", "1995-01-01", 0.05, 0.07, 24),
    7: f"SELECT n1.n_name, n2.n_name FROM {_SUPPLIED} JOIN nation n1 ON n1.n_nationkey = s_nationkey "
    "JOIN nation n2 ON n2.n_nationkey = c_nationkey WHERE n1.n_name <> n2.n_name "
    "AND l_shipdate BETWEEN '1995-01-01' AND '1996-12-31' LIMIT 1",
    8: f"SELECT n2.n_name, r_name, p_type FROM {_SUPPLIED} JOIN part ON p_partkey = l_partkey "
    "JOIN nation n1 ON n1.n_nationkey = c_nationkey JOIN region ON r_regionkey = n1.n_regionkey "
    "JOIN nation n2 ON n2.n_nationkey = s_nationkey WHERE o_orderdate BETWEEN '1995-01-01' AND '1996-12-31' "
    "GROUP BY r_name, p_type ORDER BY count(DISTINCT s_suppkey) DESC, n2.n_name, p_type LIMIT 1",
    9: "SELECT '%' || substr(p_name, 1, instr(p_name, ' ') - 1) || '%' FROM part JOIN lineitem ON l_partkey = p_partkey LIMIT 1",
    10: ("1993-10-01", "1994-01-01"),
    11: "SELECT n_name, 0.02 FROM partsupp JOIN supplier ON s_suppkey = ps_suppkey JOIN nation ON n_nationkey = s_nationkey LIMIT 1",
    12: ("MAIL", "SHIP", "1993-01-01", "1996-01-01"),
    13: ("%special%requests%",),
    14: ("1995-09-01", "1996-10-01"),
    15: (),
    16: ("Brand#45", "MEDIUM POLISHED%", 49, 14, 23, 45, 19, 3, 36, 9),
    17: "SELECT p_brand, p_container FROM part JOIN lineitem ON l_partkey = p_partkey WHERE l_quantity < ("
    "SELECT 0.2 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey) LIMIT 1",
    18: "SELECT sum(l_quantity) - 10 FROM lineitem GROUP BY l_orderkey ORDER BY 1 DESC LIMIT 1",
    19: "SELECT p_brand, max(l_quantity - 5, 1), 'Brand#23', 10, 'Brand#34', 20 FROM part JOIN lineitem ON l_partkey = p_partkey "
    "WHERE p_container = 'SM CASE' AND p_size = 3 AND l_shipinstruct = 'DELIVER IN PERSON' LIMIT 1",
    20: "SELECT p_name || '%', '1994-01-01', '1995-01-01', n_name FROM part "
    "JOIN partsupp ON ps_partkey = p_partkey JOIN supplier ON s_suppkey = ps_suppkey JOIN nation ON n_nationkey = s_nationkey "
    "JOIN lineitem ON l_partkey = ps_partkey AND l_suppkey = ps_suppkey "
    "WHERE l_shipdate >= '1994-01-01' AND l_shipdate < '1995-01-01' AND ps_availqty > 100 LIMIT 1",
    21: "SELECT n_name FROM supplier, lineitem l1, orders, nation WHERE s_suppkey = l1.l_suppkey AND o_orderkey = l1.l_orderkey "
    "AND o_orderstatus = 'F' AND l1.l_receiptdate > l1.l_commitdate AND s_nationkey = n_nationkey "
    "AND EXISTS (SELECT * FROM lineitem l2 WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey) "
    "AND NOT EXISTS (SELECT * FROM lineitem l3 WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey "
    "AND l3.l_receiptdate > l3.l_commitdate) GROUP BY n_name ORDER BY count(*) DESC LIMIT 1",
    22: "SELECT substr(c_phone, 1, 2) FROM customer WHERE NOT EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey) "
    "GROUP BY 1 ORDER BY max(c_acctbal) DESC LIMIT 7",
}


def columns_in(number: int) -> set[str]:
    """The columns that a query names, in its views too. In TPC-H every name is of one table alone."""
    text = QUERIES[number] + (SCHEMA[SCHEMA.index("CREATE VIEW revenue") :] if number == 15 else "")
    words = set(re.findall(r"\w+", text))
    return {column for columns in TABLES.values() for column in columns if column in words}


def tables_in(number: int) -> frozenset[str]:
    """The tables of those columns, which are all of them."""
    columns = columns_in(number)
    return frozenset(table for table, own in TABLES.items() if columns & set(own))
