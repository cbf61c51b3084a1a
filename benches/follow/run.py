"""Runs the rows of benches/follow.sh. Standard library only.

Two sides of a row take turns, in pairs, and the ratio is the median of the ratios of the pairs: what
the machine does meanwhile hits both. Wall time runs from the start of the writer until the last byte
is in the output; what came out is compared with what was written.
"""
import filecmp
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = {}


def setting(name, default):
    return os.environ.get("WEIR_FOLLOW_" + name, default)


def size(text):
    found = re.fullmatch(r"(\d+)\s*([KMG]?)i?B?", text, re.I)
    if not found:
        sys.exit(f'follow: not a size: "{text}"')
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2].upper()]


WEIR = os.path.abspath(os.environ.get("WEIR_BIN", "target/release/weir"))
FOLDER = os.path.abspath(setting("DIR", "target/follow"))
BYTES = size(setting("BYTES", "1GiB"))
RUNS = int(setting("RUNS", "5"))
SECONDS = float(setting("SECONDS", "60"))
FILES = int(setting("FILES", "10000"))
MINUTES = float(setting("MINUTES", "2"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")} | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def row(function):
    ROWS[function.__name__.replace("_", "-")] = function
    return function


def report(name, **values):
    shown = "  ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items())
    print(f"{name:<28}{shown}", flush=True)


# ------------------------------------------------------------------ what follows
class Follower:
    """A process that follows files in a folder of its own. Leaves nothing behind."""

    def __init__(self, argv, folder, stdout=None, stderr=None):
        out = stdout if stdout is not None else subprocess.DEVNULL
        self.errors = open(os.path.join(folder, "stderr"), "wb")
        self.process = subprocess.Popen(argv, cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=out, stderr=stderr or self.errors)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def terminate(self, code=0):
        self.process.send_signal(signal.SIGTERM)
        ended = self.process.wait(60)
        if code is not None and ended != code:
            raise RuntimeError(f"ended with {ended}")

    def alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"ended by itself with {self.process.returncode}")

    def processor_seconds(self):
        """Of all its threads, in nanoseconds' precision."""
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.M)[1]) * 1024

    def bytes_read(self):
        with open(f"/proc/{self.process.pid}/io") as file:
            return int(re.search(r"^rchar: (\d+)", file.read(), re.M)[1])


def weir_filter(*args):
    return [WEIR, "filter", "-q", "-f", "--from", "start", *args]


TAIL = ["tail", "-n", "+1", "-F"]


def fresh(name):
    """An empty folder."""
    folder = os.path.join(FOLDER, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def length(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def until(what, holds, seconds=120, pause=0.0005):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain: {what}")
        time.sleep(pause)


def corpus():
    """Log lines, every one different, made once."""
    path = os.path.join(FOLDER, f"corpus-{BYTES}")
    if length(path) < BYTES:
        os.makedirs(FOLDER, exist_ok=True)
        levels = ("INFO ", "DEBUG", "INFO ", "WARN ", "INFO ", "ERROR")
        with open(path + ".part", "wb") as file:
            number = 0
            while file.tell() < BYTES:
                lines = [
                    f"2026-03-14T09:{n // 60000 % 60:02}:{n // 1000 % 60:02}.{n % 1000:03}Z {levels[n % 6]} [worker-{n % 16}] com.example.orders.Store - order {n} of customer {n * 7919 % 100003} took {n % 977} ms\n"
                    for n in range(number, number + 100_000)
                ]
                number += 100_000
                file.write("".join(lines).encode())
        os.rename(path + ".part", path)
    return path


def settle():
    """Lets the disk take what the run before left, so that it does not fall on the next."""
    os.sync()


# ------------------------------------------------------------------ throughput
def throughput(name, argv, to_stdout):
    """Seconds from the writer's start until the output has all, and the processor's share."""
    folder = fresh(name)
    source, out = os.path.join(folder, "app.log"), os.path.join(folder, "out")
    probe = b"2026-03-14T08:59:59.000Z INFO  [main] com.example.orders.Store - started\n"
    with open(source, "wb") as file:
        file.write(probe)
    stdout = open(out, "wb") if to_stdout else None
    with Follower(argv, folder, stdout) as running:
        until("the first line", lambda: length(out) >= len(probe))
        settle()
        wanted = len(probe) + os.path.getsize(corpus())
        before = running.processor_seconds()
        began = time.perf_counter()
        with open(source, "ab") as file:
            writer = subprocess.Popen(["cat", corpus()], stdout=file)
        until("the last byte", lambda: length(out) >= wanted)
        seconds = time.perf_counter() - began
        writer.wait()
        cpu = running.processor_seconds() - before
        peak = running.status("VmHWM")
        running.terminate(None if to_stdout and argv[0] == "tail" else 0)
    if not filecmp.cmp(source, out, shallow=False):
        raise RuntimeError(f"{name}: the output differs from what was written")
    shutil.rmtree(folder)
    return seconds, cpu, peak


def pairs(name, ours, peer, at_least):
    """Takes turns; each side is a function that returns (seconds, cpu, peak)."""
    sides = [[], []]
    for run in range(RUNS + 1):
        # Who goes first changes, too.
        for side in (0, 1) if run % 2 else (1, 0):
            measured = (ours, peer)[side]()
            if run:
                sides[side].append(measured)
    ratios = [theirs[0] / mine[0] for mine, theirs in zip(*sides)]
    median = lambda side, part: statistics.median(measured[part] for measured in side)
    report(
        name,
        ours_s=median(sides[0], 0),
        peer_s=median(sides[1], 0),
        ratio=statistics.median(ratios),
        ratios="/".join(f"{ratio:.2f}" for ratio in ratios),
        goal=f">={at_least}",
        ours_cpu_s=median(sides[0], 1),
        peer_cpu_s=median(sides[1], 1),
        ours_peak_MiB=median(sides[0], 2) / 2**20,
    )


@row
def file_to_file():
    """1 GiB into a followed file, to a file: weir against tail -F."""
    pairs(
        "file-to-file",
        lambda: throughput("weir", weir_filter("-O", "out", "app.log"), False),
        lambda: throughput("tail", [*TAIL, "app.log"], True),
        1.0,
    )


@row
def checkpoints():
    """The same with checkpoints against without."""
    pairs(
        "checkpoints",
        lambda: throughput("on", weir_filter("--state", "state", "-O", "out", "app.log"), False),
        lambda: throughput("off", weir_filter("-O", "out", "app.log"), False),
        0.9,
    )


def letters(number):
    """A word for a number, without digits: nothing in it is taken for what varies in a message."""
    text = ""
    while True:
        text += "abcdefghijklmnop"[number % 16]
        number //= 16
        if not number:
            return text


def loaded(file):
    """100,000 messages, of which the table takes as many as fit into 32 MiB, and 10,000 series."""
    # Short ones, and a part of them errors, so that the table of messages takes all.
    for start in range(0, 100_000, 10_000):
        file.write("".join(f"level={'error' if n % 2 else 'warn'} host=h{n // 10} latency_ms={n % 977} msg={letters(n)}x\n" for n in range(start, start + 10_000)).encode())


def loaded_report(name, state):
    """Seconds a loaded report takes to read what is written into its file."""
    folder = fresh(name)
    source = os.path.join(folder, "app.log")
    with open(source, "wb") as file:
        loaded(file)
    argv = [WEIR, "-q", "-f", "-o", "json", "--from", "start", "--by", "host", "--metric", "latency_ms", *state, "app.log"]
    out_path = os.path.join(folder, "report")
    with open(out_path, "wb") as out, Follower(argv, folder, out) as running:
        until("the load", lambda: running.bytes_read() >= length(source))
        time.sleep(1)
        settle()
        wanted = running.bytes_read() + os.path.getsize(corpus())
        before = running.processor_seconds()
        began = time.perf_counter()
        with open(source, "ab") as file:
            writer = subprocess.Popen(["cat", corpus()], stdout=file)
        until("the last byte", lambda: running.bytes_read() >= wanted)
        seconds = time.perf_counter() - began
        writer.wait()
        cpu = running.processor_seconds() - before
        peak = running.status("VmHWM")
        time.sleep(1)
        running.terminate()
    with open(out_path) as file:
        told = json.load(file)
    with open(source, "rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    if told["ledger"]["lines"] != lines or told["ledger"]["unaccounted"]:
        raise RuntimeError(f"{lines} lines written, the ledger says {told['ledger']}")
    # The rows of the table are templates, which cover many messages each.
    messages = sum(len(row["fingerprints"]) for row in told["messages"])
    if messages < 60_000:
        raise RuntimeError(f"only {messages} messages are loaded")
    shutil.rmtree(folder)
    return seconds, cpu, peak


@row
def checkpoints_loaded():
    """Checkpoints of a report with a full table of messages (66,000) and 10,000 series, against none."""
    pairs(
        "checkpoints-loaded",
        lambda: loaded_report("on", ["--state", "state"]),
        lambda: loaded_report("off", []),
        0.9,
    )


# ------------------------------------------------------------------ latency
def latencies(name, argv, seconds, before=None):
    """Milliseconds from the write of a line until it is read from the pipe, at 50 lines a second."""
    folder = fresh(name)
    source = os.path.join(folder, "app.log")
    with open(source, "wb") as file:
        if before:
            before(file)
        file.write(b"2026-03-14T09:00:00.000Z INFO started\n")
    reader, writer = os.pipe()
    found = []
    with open(source, "ab", buffering=0) as file, Follower(argv, folder, writer) as running:
        os.close(writer)
        pending = b""
        while b"started\n" not in pending:
            block = os.read(reader, 1 << 20)
            if not block:
                raise RuntimeError(f"{name}: ended by itself")
            pending = pending[-100:] + block
        time.sleep(0.3)
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            number += 1
            # Every line is a message of its own, or --dedup would take it for a repetition.
            line = f"2026-03-14T09:00:00.000Z INFO {letters(number)}y done\n".encode()
            next_write = time.monotonic() + 0.02
            began = time.perf_counter()
            file.write(line)
            taken = b""
            while not taken.endswith(line):
                taken += os.read(reader, 1 << 16)
            found.append((time.perf_counter() - began) * 1e3)
            time.sleep(max(0, next_write - time.monotonic()))
        running.terminate(None)
    os.close(reader)
    shutil.rmtree(folder)
    return found


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@row
def latency():
    """Append to output at 50 lines a second, weir against tail -F."""
    sides = {"weir": weir_filter("app.log"), "weir_state": weir_filter("--state", "state", "app.log"), "tail": [*TAIL, "app.log"]}
    found = {name: [] for name in sides}
    for run in range(RUNS):
        for name in sorted(sides, reverse=run % 2 == 1):
            found[name] += latencies(name, sides[name], 5)
    for name, values in found.items():
        report(f"latency {name}", lines=len(values), p50_ms=quantile(values, 0.5), p99_ms=quantile(values, 0.99), max_ms=max(values), goal="p50<=0.5 p99<=2")


@row
def stall():
    """The longest a line waits while a state of 100,000 messages is checkpointed, and without."""
    for name, state in (("on", ["--state", "state"]), ("off", [])):
        argv = weir_filter(*state, "--multiline", "off", "--dedup", "message", "app.log")
        values = latencies(name, argv, 10, loaded)
        report(f"stall checkpoints-{name}", lines=len(values), p50_ms=quantile(values, 0.5), p99_ms=quantile(values, 0.99), max_ms=max(values), goal="max<=50")


# ------------------------------------------------------------------ idle
def many(folder, count):
    for number in range(count):
        with open(os.path.join(folder, f"{number}.log"), "wb") as file:
            file.write(b"2026-03-14T09:00:00.000Z INFO file %d\n" % number)


def idle_of(name, count, args):
    folder = fresh(name)
    files = os.path.join(folder, "many")
    os.makedirs(files)
    many(files, count)
    out = os.path.join(folder, "out")
    wanted = sum(length(os.path.join(files, file)) for file in os.listdir(files))
    with Follower(weir_filter("-O", "out", *args, "many/*.log"), folder) as running:
        until("all first lines", lambda: length(out) >= wanted)
        time.sleep(3)
        before = running.processor_seconds()
        began = time.perf_counter()
        time.sleep(SECONDS)
        share = (running.processor_seconds() - before) / (time.perf_counter() - began)
        memory = running.status("VmRSS")
        peak = running.status("VmHWM")
        # It is alive: a line in one of them comes at once.
        with open(os.path.join(files, "0.log"), "ab") as file:
            began = time.perf_counter()
            file.write(b"2026-03-14T09:00:01.000Z INFO wake\n")
        until("the line after the idle time", lambda: length(out) > wanted)
        woke = (time.perf_counter() - began) * 1e3
        running.terminate()
    goals = ("<=0.02%", "<=8MiB") if count == 1 else ("<=0.2%", "<=32MiB")
    report(f"idle {name}", files=count, seconds=SECONDS, cpu_percent=share * 100, goal=goals[0], rss_MiB=memory / 2**20, memory_goal=goals[1], peak_MiB=peak / 2**20, wake_ms=woke)
    shutil.rmtree(folder)


@row
def idle():
    """What following costs while nothing is written."""
    idle_of("one", 1, [])
    idle_of("one-with-state", 1, ["--state", "state"])
    idle_of("many", FILES, [])
    idle_of("many-with-state", FILES, ["--state", "state"])


@row
def restart():
    """From the start of the process to the first new line, with many files known."""
    folder = fresh("restart")
    files = os.path.join(folder, "many")
    os.makedirs(files)
    many(files, FILES)
    out = os.path.join(folder, "out")
    argv = weir_filter("-O", "out", "--state", "state", "many/*.log")
    wanted = sum(length(os.path.join(files, file)) for file in os.listdir(files))
    with Follower(argv, folder) as running:
        until("all first lines", lambda: length(out) >= wanted)
        time.sleep(2)
        running.terminate()
    for how in ("terminated", "killed"):
        found = []
        for run in range(RUNS):
            line = b"2026-03-14T09:00:01.000Z INFO again\n"
            with open(os.path.join(files, f"{run * 1999 % FILES}.log"), "ab") as file:
                file.write(line)
            wanted += len(line)
            began = time.perf_counter()
            with Follower(argv, folder) as running:
                until("the new line", lambda: length(out) >= wanted)
                found.append(time.perf_counter() - began)
                time.sleep(0.5)
                if how == "terminated":
                    running.terminate()
        if length(out) != wanted:
            raise RuntimeError(f"{length(out)} bytes in the output, {wanted} written")
        report(f"restart {how}", files=FILES, median_s=statistics.median(found), max_s=max(found), goal="<=1s")
    shutil.rmtree(folder)


# ------------------------------------------------------------------ rotation
def write_container_log(folder, seconds, rate):
    """Writes CRI lines, a third of the records in two or three parts, and rotates every two seconds at
    any line, also between the parts of a record. Prints how many records, lines and rotations."""
    path = os.path.join(folder, "0.log")
    file = open(path, "ab", buffering=0)
    began = time.monotonic()
    number = lines = rotations = 0
    next_rotation = began + 2
    step = 0.02
    per_step = max(1, int(rate * step))
    behind = 0.0
    while (now := time.monotonic()) - began < seconds:
        block = []
        while len(block) < per_step:
            parts = 1 + (number % 3 == 0) + (number % 9 == 0)
            for part in range(1, parts):
                block.append(f"2026-03-14T09:00:00.{number % 10**9:09}Z stdout P seq={number} part {part} ")
            block.append(f"2026-03-14T09:00:00.{number % 10**9:09}Z stdout F seq={number} end")
            number += 1
        lines += len(block)
        if now >= next_rotation:
            # Somewhere in the block, mostly where a record is split.
            cut = next((at for at in range(rotations % 7, len(block) - 1) if " P " in block[at]), len(block) // 2) + 1
            file.write(("\n".join(block[:cut]) + "\n").encode())
            file.close()
            for old in range(4, 0, -1):
                if os.path.exists(f"{path}.{old}"):
                    os.rename(f"{path}.{old}", f"{path}.{old + 1}")
            os.rename(path, f"{path}.1")
            file = open(path, "ab", buffering=0)
            block = block[cut:]
            rotations += 1
            next_rotation += 2
        file.write(("\n".join(block) + "\n").encode())
        behind = max(behind, time.monotonic() - began - lines / rate)
        time.sleep(max(0, began + lines / rate - time.monotonic()))
    print(json.dumps({"records": number, "lines": lines, "rotations": rotations, "seconds": time.monotonic() - began}))


def expected_message(number):
    parts = 1 + (number % 3 == 0) + (number % 9 == 0)
    return "".join(f"seq={number} part {part} " for part in range(1, parts)) + f"seq={number} end"


def check_messages():
    """Reads `weir filter -o json` and checks that every record comes whole, once and in order."""
    number = problems = 0
    end = b'"}\n'
    for line in sys.stdin.buffer:
        at = line.find(b'"message":"')
        message = line[at + 11 : line.find(b'"', at + 11)].decode()
        if message != expected_message(number):
            problems += 1
            if problems <= 5:
                print(f"record {number}: {message!r}", file=sys.stderr)
            found = re.search(r"seq=(\d+)", message)
            number = int(found[1]) if found else number
        number += 1
    print(json.dumps({"records": number, "problems": problems}))


@row
def rotation():
    """Container logs rotated every two seconds at 100,000 lines a second and more."""
    folder = fresh("rotation")
    open(os.path.join(folder, "0.log"), "wb").close()
    seconds = MINUTES * 60
    rate = int(setting("RATE", "110000"))
    me = [sys.executable, "-S", "-E", "-B", os.path.abspath(__file__)]
    with open(os.path.join(folder, "checker"), "wb") as errors:
        checker = subprocess.Popen([*me, "check-messages"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
    with Follower(weir_filter("-o", "json", "--state", "state", "0.log*"), folder, checker.stdin) as running:
        checker.stdin.close()
        before = running.processor_seconds()
        written = json.loads(subprocess.run([*me, "write-container-log", folder, str(seconds), str(rate)], check=True, capture_output=True, text=True).stdout)
        cpu = running.processor_seconds() - before
        peak = running.status("VmHWM")
        time.sleep(2)
        running.terminate()
    checked = json.loads(checker.stdout.read())
    checker.wait()
    report(
        "rotation",
        minutes=MINUTES,
        lines_per_s=written["lines"] / written["seconds"],
        rotations=written["rotations"],
        records=written["records"],
        delivered=checked["records"],
        split_or_missing=checked["problems"] + abs(written["records"] - checked["records"]),
        cpu_share=cpu / written["seconds"],
        peak_MiB=peak / 2**20,
    )
    if checked["problems"] or checked["records"] != written["records"]:
        with open(os.path.join(folder, "checker")) as file:
            raise RuntimeError(file.read())
    shutil.rmtree(folder)


def main():
    names = sys.argv[1:]
    if names == ["--list"]:
        for name, function in ROWS.items():
            print(f"{name:<20}{function.__doc__.splitlines()[0]}")
        return
    if names[:1] == ["write-container-log"]:
        return write_container_log(names[1], float(names[2]), float(names[3]))
    if names == ["check-messages"]:
        return check_messages()
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        sys.exit(f"follow: no row {unknown[0]}; the rows are {', '.join(ROWS)}")
    os.makedirs(FOLDER, exist_ok=True)
    failed = False
    for name in names or ROWS:
        try:
            ROWS[name]()
        except Exception as error:
            failed = True
            print(f"{name:<28}FAILED: {error}", flush=True)
    sys.exit(failed)


main()
