"""DuckDB: status counts, p99 of the response time and the ten busiest paths of an access log.

duckdb_access.py FILE: read_csv with the space as delimiter, the quoted request and agent as columns.
"""
import json
import sys

import duckdb

db = duckdb.connect()
db.execute("SET threads = 2")
db.execute(
    """
    CREATE TEMP TABLE sums AS
    SELECT status, split_part(request, ' ', 2) AS path, response_time
    FROM read_csv(?, header = false, auto_detect = false, delim = ' ', quote = '"', escape = '"', strict_mode = false,
                  columns = {'client': 'VARCHAR', 'ident': 'VARCHAR', 'user': 'VARCHAR', 'day': 'VARCHAR', 'zone': 'VARCHAR',
                             'request': 'VARCHAR', 'status': 'VARCHAR', 'bytes': 'VARCHAR', 'referrer': 'VARCHAR',
                             'agent': 'VARCHAR', 'response_time': 'DOUBLE'})
    """,
    [sys.argv[1]],
)
answer = {
    "status": dict(db.execute("SELECT status, count(*) FROM sums GROUP BY status").fetchall()),
    "path": dict(db.execute("SELECT path, count(*) AS n FROM sums GROUP BY path ORDER BY n DESC, path LIMIT 10").fetchall()),
    "p99": db.execute("SELECT approx_quantile(response_time, 0.99) FROM sums").fetchone()[0],
}
json.dump(answer, sys.stdout)
