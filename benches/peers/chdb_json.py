"""ClickHouse in process (chdb): latency and CPU by service of an NDJSON log. chdb_json.py FILE"""
import json
import sys

import chdb

answer = chdb.query(
    f"""
    SELECT service, count(), quantileTDigest(0.5)(latency_ms), quantileTDigest(0.9)(latency_ms),
           quantileTDigest(0.99)(latency_ms), max(latency_ms), avg(cpu), quantileTDigest(0.99)(cpu)
    FROM file('{sys.argv[1]}', JSONEachRow, 'level String, service String, latency_ms Float64, cpu Float64')
    WHERE level <> 'DEBUG' GROUP BY service
    SETTINGS max_threads = 2, input_format_skip_unknown_fields = 1
    """,
    "JSONCompact",
)
json.dump({row[0]: [float(cell) for cell in row[1:]] for row in json.loads(str(answer))["data"]}, sys.stdout)
