"""The other side of `companion`: a program of its own that has a file open through Coeval, told what to do line by line.

Usage: python companion_child.py PATH SETTINGS. A request is a line of JSON, [name, argument …], and so is the answer, {"value": …} or
{"error": …}.
"""

import json
import sys
import time

import coeval


class Child:
    """What it can be asked to do."""

    def __init__(self, path, settings):
        self.db = coeval.open(path, **settings)
        self.unit = None
        self.stream = None

    def execute(self, sql, *params):
        return self.db.execute(sql, *params).rowcount

    def many(self, sql, count):
        self.db.executemany(sql, [(i,) for i in range(count)])

    def write_for(self, sql, seconds):
        end = time.monotonic() + seconds
        count = 0
        while time.monotonic() < end:
            self.db.execute(sql, count)
            count += 1
        return count

    def scalar(self, sql):
        return (self.unit or self.db).scalar(sql)

    def get(self, key):
        return self.db.cache.get(key)

    def set(self, key, value, tags=()):
        self.db.cache.set(key, value, tags=tags)

    def get_or_set(self, key, value, tags=()):
        return self.db.cache.get_or_set(key, lambda: value, tags=tags)

    def delete(self, key):
        self.db.cache.delete(key)

    def invalidate(self, *tags):
        self.db.invalidate(*tags)

    def begin(self, kind):
        self.unit = getattr(self.db, kind)().__enter__()

    def end(self):
        unit, self.unit = self.unit, None
        assert unit is not None
        unit.__exit__(None, None, None)

    def close(self):
        self.db.close()


def main(path, settings):
    child = Child(path, json.loads(settings))
    print(json.dumps({"value": None}), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = {"value": getattr(child, name)(*arguments)}
        except coeval.Error as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
