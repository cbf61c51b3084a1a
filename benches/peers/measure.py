"""Runs one pipeline and prints what it cost: measure.py JSON.

JSON is {"stages": [[argv...]...], "stdin": path, "stdout": path, "stderr": path}. Prints
{"seconds": wall time, "first": seconds to the first byte if asked, "cpu": seconds of all stages,
"peaks": [bytes...], "codes": [...]}.

A process of its own, and a fork instead of subprocess, because the kernel lets a child start with
the peak memory of whoever forked it: this one is small and stays so, the driver is not.
"""
import json
import os
import sys
import time


def main():
    task = json.loads(sys.argv[1])
    stages = task["stages"]
    wants_first = task.get("first", False)
    stdin = os.open(task.get("stdin", "/dev/null"), os.O_RDONLY)
    stdout = os.open(task.get("stdout", "/dev/null"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    stderr = os.open(task.get("stderr", "/dev/null"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    if wants_first:
        first, last_out = os.pipe()
    else:
        last_out = stdout
    began = time.perf_counter()
    children = []
    upstream = stdin
    for index, argv in enumerate(stages):
        final = index + 1 == len(stages)
        reader, writer = (None, last_out) if final else os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.dup2(upstream, 0)
                os.dup2(writer, 1)
                os.dup2(stderr, 2)
                os.closerange(3, 256)
                os.execvp(argv[0], argv)
            finally:
                os._exit(127)
        children.append(child)
        os.close(upstream)
        os.close(writer)
        upstream = reader
    result = {}
    if wants_first:
        if os.read(first, 1):
            result["first"] = time.perf_counter() - began
        while os.read(first, 1 << 16):
            pass
    # Reaped in the order of the pipeline; the wall time is that of the last to end.
    ends = [os.wait4(child, 0) for child in children]
    result["seconds"] = time.perf_counter() - began
    result["cpu"] = sum(usage.ru_utime + usage.ru_stime for _, _, usage in ends)
    result["peaks"] = [usage.ru_maxrss * 1024 for _, _, usage in ends]
    result["codes"] = [os.waitstatus_to_exitcode(status) for _, status, _ in ends]
    print(json.dumps(result))


main()
