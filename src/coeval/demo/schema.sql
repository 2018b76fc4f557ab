-- The data of the demonstration. What changes often lives apart from what never changes:
-- `flights` is the timetable and what was recorded in 2013, `delays` is what is known now.
-- A write to `delays` therefore leaves every result that reads only `flights` valid.

CREATE TABLE airlines (
    carrier TEXT PRIMARY KEY,
    name    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE airports (
    faa   TEXT PRIMARY KEY,
    name  TEXT NOT NULL,
    lat   REAL NOT NULL,
    lon   REAL NOT NULL,
    alt   INTEGER,
    tz    INTEGER,
    dst   TEXT,
    tzone TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE planes (
    tailnum      TEXT PRIMARY KEY,
    year         INTEGER,
    type         TEXT,
    manufacturer TEXT,
    model        TEXT,
    engines      INTEGER,
    seats        INTEGER,
    speed        INTEGER,
    engine       TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE weather (
    id         INTEGER PRIMARY KEY,
    origin     TEXT NOT NULL,
    year       INTEGER NOT NULL,
    month      INTEGER NOT NULL,
    day        INTEGER NOT NULL,
    hour       INTEGER NOT NULL,
    temp       REAL,
    dewp       REAL,
    humid      REAL,
    wind_dir   REAL,
    wind_speed REAL,
    wind_gust  REAL,
    precip     REAL,
    pressure   REAL,
    visib      REAL,
    time_hour  TEXT NOT NULL
) STRICT;

-- No foreign keys to airports and planes: 4 destinations and 722 aeroplanes are missing in the source.
CREATE TABLE flights (
    id             INTEGER PRIMARY KEY,
    year           INTEGER NOT NULL,
    month          INTEGER NOT NULL,
    day            INTEGER NOT NULL,
    dep_time       INTEGER,
    sched_dep_time INTEGER NOT NULL,
    dep_delay      INTEGER,
    arr_time       INTEGER,
    sched_arr_time INTEGER NOT NULL,
    arr_delay      INTEGER,
    carrier        TEXT NOT NULL REFERENCES airlines (carrier),
    number         INTEGER NOT NULL,
    tailnum        TEXT,
    origin         TEXT NOT NULL,
    dest           TEXT NOT NULL,
    air_time       INTEGER,
    distance       INTEGER NOT NULL,
    hour           INTEGER NOT NULL,
    minute         INTEGER NOT NULL,
    time_hour      TEXT NOT NULL
) STRICT;

-- The arrival delay as it is known now; NULL where the flight was cancelled or never arrived.
CREATE TABLE delays (
    flight_id INTEGER PRIMARY KEY REFERENCES flights (id),
    minutes   INTEGER,
    reports   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- One row for each recorded delay. AUTOINCREMENT: an id is never used twice, so ids are the order of commits.
CREATE TABLE delay_reports (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    flight_id   INTEGER NOT NULL REFERENCES flights (id),
    minutes     INTEGER NOT NULL CHECK (minutes BETWEEN -120 AND 2880),
    reported_by TEXT NOT NULL,
    reported_at INTEGER NOT NULL
) STRICT;
