"""Asks DuckDB, chDB and Spark the same questions, and compares the answers.

    engines.py TABLES FOLDER_OF_QUERIES
"""

import datetime
import decimal
import math
import pathlib
import sys

import chdb.session
import duckdb
from pyspark.sql import SparkSession


def plain(value):
    """A value as all engines would give it."""
    if isinstance(value, datetime.datetime):
        return value.strftime("%F %T")
    if isinstance(value, decimal.Decimal):
        return float(value)
    return value


def ask_duckdb(tables):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for table in tables:
        connection.execute(
            f"CREATE VIEW {table.name} AS "
            f"SELECT * FROM read_parquet('{table}/*.parquet', union_by_name = true)"
        )

    def ask(query):
        connection.execute(query)
        return [[plain(value) for value in row] for row in connection.fetchall()]

    return ask


def ask_chdb(tables):
    session = chdb.session.Session()
    session.query("CREATE DATABASE rz")
    session.query("USE rz")
    session.query("SET session_timezone = 'UTC'")
    for table in tables:
        session.query(
            f"CREATE VIEW {table.name} AS SELECT * FROM file('{table}/*.parquet', Parquet)"
        )

    def ask(query):
        import json

        rows = json.loads(str(session.query(query, "JSONCompact")))["data"]
        # Microseconds of times, of which there are none.
        return [[number(value) for value in row] for row in rows]

    return ask


def number(value):
    if isinstance(value, str):
        if value.endswith(".000000"):
            return value.removesuffix(".000000")
        # Sums of 64 bits are quoted.
        if value.lstrip("-").isdigit():
            return int(value)
    return value


def ask_spark(tables):
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.session.timeZone", "UTC")
    spark = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    for table in tables:
        spark.sql(
            f"CREATE OR REPLACE TEMPORARY VIEW {table.name} USING parquet "
            f"OPTIONS (path '{table}', mergeSchema 'true')"
        )
    return lambda query: [[plain(value) for value in row] for row in spark.sql(query).collect()]


def same(a, b):
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        # Some cut decimals where others round.
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)
    return str(a) == str(b)


def main():
    folder, queries = sys.argv[1:]
    tables = [table for table in sorted(pathlib.Path(folder).iterdir()) if table.is_dir()]
    engines = {"DuckDB": ask_duckdb, "chDB": ask_chdb, "Spark": ask_spark}
    engines = {name: make(tables) for name, make in engines.items()}
    for file in sorted(pathlib.Path(queries).glob("*.sql")):
        query = file.read_text()
        answers = {name: ask(query) for name, ask in engines.items()}
        expected = answers["DuckDB"]
        for name, answer in answers.items():
            assert len(answer) == len(expected), f"{file.stem}: {name}: {len(answer)} rows"
            for row, other in zip(expected, answer):
                assert all(map(same, row, other)), f"{file.stem}: {name}: {row} {other}"
        print(f"{file.stem}: {len(engines)} engines agree on {len(expected)} rows")


main()
