"""Runs the statements on its input with DuckDB; prints the last one's rows as JSON, each a list of texts, and how many seconds
each statement took.

    query.py [HTTPFS ENDPOINT KEY SECRET]
"""

import json
import sys
import time

import duckdb

connection = duckdb.connect(config={"threads": 2})
if len(sys.argv) > 1:
    extension, endpoint, key, secret = sys.argv[1:]
    connection.execute(f"LOAD '{extension}'")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', ENDPOINT '{endpoint}',"
        " URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')"
    )
connection.execute("SET TimeZone = 'UTC'")
queries = sys.stdin.read().split(";")
rows, seconds = [], []
for query in map(str.strip, queries):
    if query.upper().startswith("SELECT"):
        # Times and all else as text: what a value is in Python does not matter here.
        query = f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({query})"
    if query:
        started = time.perf_counter()
        result = connection.execute(query)
        rows = result.fetchall() if result else []
        seconds.append(time.perf_counter() - started)
# Other statements tell how many rows they wrote, as a number.
text = [[value if value is None else str(value) for value in row] for row in rows]
print(json.dumps({"rows": text, "seconds": seconds}))
