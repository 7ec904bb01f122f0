"""Faults that are to be found, each with a program beside it that looks like it and has none.

faulty.py connect SOCKET   `ask` opens a connection to a PostgreSQL for each request
faulty.py keep SOCKET      `ask_again` keeps one
faulty.py regexp           `find_article` has Django look at paths with a regular
                           expression that backtracks
faulty.py route            `find_article` has one that does not
faulty.py dates            `read_log` reads dates
faulty.py json             `copy_rows` writes and reads JSON
faulty.py garbage          `link` leaves cycles behind
faulty.py threads          three threads compute, in `count`
faulty.py hash             three threads compute, in `digest`, which others need not wait for
faulty.py plain            `count_words` works on texts as well
"""

import datetime
import hashlib
import json
import sys
import threading


def connected(path):
    import pg8000.dbapi

    return pg8000.dbapi.connect(
        "nobody", database="postgres", unix_sock=path, ssl_context=False
    )


def query(connection):
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    return cursor.fetchone()


def ask(path):
    connection = connected(path)
    query(connection)
    connection.close()


def ask_again(connection):
    query(connection)


SLUGS = {
    "regexp": "^(?P<slug>(?:[a-z0-9]+-?)+)/$",
    "route": "^(?P<slug>[a-z0-9-]+)/$",
}


def routes(pattern):
    from django.urls import re_path
    from django.urls.resolvers import RegexPattern, URLResolver

    return URLResolver(RegexPattern("^/"), [re_path(pattern, find_article)])


def find_article(routes, path):
    from django.urls import Resolver404

    try:
        return routes.resolve(path)
    except Resolver404:
        return None


def read_log(lines):
    return [datetime.datetime.strptime(line, "%Y-%m-%d %H:%M:%S") for line in lines]


def copy_rows(rows):
    return json.loads(json.dumps(rows))


class Link:
    def __init__(self):
        self.other = [self] * 5


def link(count):
    kept = [Link() for _ in range(count)]
    while True:
        kept[0] = [Link() for _ in range(count)]


def count():
    total = 0
    while True:
        total += 1


def digest(data):
    while True:
        hashlib.sha256(data).digest()


def count_words(text):
    return sum(1 for word in text.split() if word.isalpha())


def main():
    what = sys.argv[1]
    if what in ("connect", "keep"):
        connection = connected(sys.argv[2])
    if what in SLUGS:
        articles = routes(SLUGS[what])
        find_article(articles, "/an-article/")
    print("ready", flush=True)
    while what == "connect":
        ask(sys.argv[2])
    while what == "keep":
        ask_again(connection)
    while what in SLUGS:
        find_article(articles, "/an-article-with-a-title!/")
    while what == "dates":
        read_log(["2026-11-30 09:10:11"] * 100)
    while what == "json":
        copy_rows([{"id": i, "name": f"row {i}", "values": [i, 0.5 * i]} for i in range(200)])
    if what == "garbage":
        link(1000)
    if what == "threads":
        for _ in range(2):
            threading.Thread(target=count, daemon=True).start()
        count()
    if what == "hash":
        data = bytes(1 << 20)
        for _ in range(2):
            threading.Thread(target=digest, args=[data], daemon=True).start()
        digest(data)
    while what == "plain":
        count_words("an article with a long title " * 100)


main()
