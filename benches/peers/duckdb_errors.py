"""DuckDB: the ERROR lines of a log, what varies replaced, counted. duckdb_errors.py FILE"""
import sys

import duckdb

db = duckdb.connect()
db.execute("SET threads = 2")
rows = db.execute(
    r"""
    SELECT regexp_replace(line, '[0-9]+', '<*>', 'g') AS message, count(*) AS n
    FROM read_csv(?, header = false, auto_detect = false, delim = '\x01', quote = '', escape = '', strict_mode = false,
                  null_padding = false, max_line_size = 4194304, columns = {'line': 'VARCHAR'})
    WHERE contains(line, 'ERROR') GROUP BY message ORDER BY n DESC
    """.replace(r"\x01", "\x01"),
    [sys.argv[1]],
).fetchall()
for message, count in rows:
    print(count, message, sep="\t")
