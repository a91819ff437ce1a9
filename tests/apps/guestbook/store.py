"""The guestbook's entries in MySQL, and its count of visits in Redis."""

import os
import time
from contextlib import contextmanager

import pymysql
import redis

VISITS = "visits"

_redis = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=5)


@contextmanager
def cursor():
    """A fresh connection each time: it survives any restart of the database."""
    connection = pymysql.connect(
        host=os.environ["DB_HOST"],
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASS"],
        database=os.environ["DB_NAME"],
        connect_timeout=5,
        autocommit=True,
    )
    try:
        with connection.cursor() as found:
            yield found
    finally:
        connection.close()


def prepare(seconds):
    """Creates the table; waits at most this long for a database that starts."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with cursor() as sql:
                sql.execute(
                    "CREATE TABLE IF NOT EXISTS entries ("
                    " id INT AUTO_INCREMENT PRIMARY KEY,"
                    " author VARCHAR(100) NOT NULL,"
                    " text VARCHAR(1000) NOT NULL,"
                    " made TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"
                )
            return
        except pymysql.OperationalError as error:
            if time.monotonic() >= deadline:
                raise
            print(f"waiting for the database: {error}", flush=True)
            time.sleep(0.5)


def add(author, text):
    with cursor() as sql:
        sql.execute("INSERT INTO entries (author, text) VALUES (%s, %s)", (author[:100], text[:1000]))


def entries(limit=100):
    """The newest first, as (author, text, time)."""
    with cursor() as sql:
        sql.execute("SELECT author, text, made FROM entries ORDER BY id DESC LIMIT %s", (limit,))
        return sql.fetchall()


def visit():
    return _redis.incr(VISITS)


def check():
    """Raises what keeps the guestbook from working."""
    with cursor() as sql:
        sql.execute("SELECT 1")
    _redis.ping()


def versions():
    with cursor() as sql:
        sql.execute("SELECT @@version, @@hostname")
        version, host = sql.fetchone()
    return {"mysql": version, "mysql_host": host, "redis": _redis.info("server")["redis_version"]}
