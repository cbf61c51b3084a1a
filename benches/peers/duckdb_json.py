"""DuckDB: latency and CPU by service of an NDJSON log. duckdb_json.py FILE [exact]

With `exact` the quantiles are the nearest ranks of the sorted values: the oracle, which nobody times.
"""
import json
import sys

import duckdb


def quantile(field, share):
    if sys.argv[2:] == ["exact"]:
        return f"list_sort(list({field}))[CAST(ceil({share} * count(*)) AS BIGINT)]"
    return f"approx_quantile({field}, {share})"


db = duckdb.connect()
db.execute("SET threads = 2")
rows = db.execute(
    f"""
    SELECT service, count(*), {quantile("latency_ms", 0.5)}, {quantile("latency_ms", 0.9)}, {quantile("latency_ms", 0.99)},
           max(latency_ms), avg(cpu), {quantile("cpu", 0.99)}
    FROM read_json(?, format = 'newline_delimited', auto_detect = false,
                   columns = {{level: 'VARCHAR', service: 'VARCHAR', latency_ms: 'DOUBLE', cpu: 'DOUBLE'}})
    WHERE level <> 'DEBUG' GROUP BY service
    """,
    [sys.argv[1]],
).fetchall()
json.dump({row[0]: row[1:] for row in rows}, sys.stdout)
