"""Polars: latency and CPU by service of an NDJSON log. polars_json.py FILE"""
import json
import os
import sys

os.environ["POLARS_MAX_THREADS"] = "2"
import polars

column = polars.col
frame = (
    polars.scan_ndjson(
        sys.argv[1],
        schema={"level": polars.String, "service": polars.String, "latency_ms": polars.Float64, "cpu": polars.Float64},
    )
    .filter(column("level") != "DEBUG")
    .group_by("service")
    .agg(
        polars.len().alias("n"),
        *(column("latency_ms").quantile(q, "higher").alias(f"l{q}") for q in (0.5, 0.9, 0.99)),
        column("latency_ms").max().alias("max"),
        column("cpu").mean().alias("mean"),
        column("cpu").quantile(0.99, "higher").alias("c99"),
    )
    .collect(engine="streaming")
)
json.dump({row[0]: row[1:] for row in frame.rows()}, sys.stdout)
