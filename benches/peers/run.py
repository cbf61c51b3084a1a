"""Runs the rows of benches/peers.sh, which installs and builds what this needs. Standard library only.

A row is a piece of work, weir's command for it and the peer's. After a warm-up the two take turns;
the ratio is that of the medians of wall time. Peaks are what the kernel says (wait4), summed over a
pipeline. A peer in Python is counted net of its own run on ten lines. Whether the answers agree is
checked on the outputs of the last run.
"""
import filecmp
import fnmatch
import json
import os
import re
import shutil
import statistics
import subprocess
import sys

from corpora import MEBI, Corpora

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = {}


def size(text):
    found = re.fullmatch(r"(\d+)\s*([KMG]?)i?B?", text, re.I)
    if not found:
        sys.exit(f'peers: WEIR_PEERS_BYTES: not a size: "{text}"')
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2].upper()]


FOLDER = os.environ.get("WEIR_PEERS_DIR", "target/peers")
DATA = os.environ.get("WEIR_SHARED_DATA", "../shared/data")
RUNS = int(os.environ.get("WEIR_PEERS_RUNS", "5"))
WEIR = os.environ.get("WEIR_BIN", "target/release/weir")
CORPORA = Corpora(os.environ.get("WEIR_PEERS_CORPORA", os.path.join(FOLDER, "corpora")), DATA, size(os.environ.get("WEIR_PEERS_BYTES", "1GiB")))
OUTPUTS = os.path.join(FOLDER, "outputs")


# ------------------------------------------------------------------ running
class Missing(Exception):
    """A peer that is not installed."""


def tool(name):
    found = shutil.which(name, path=os.path.join(FOLDER, "bin") + os.pathsep + os.environ.get("PATH", ""))
    if not found:
        raise Missing(name)
    return found


def python(script, module, *args):
    """A peer in Python, from the folder's virtual environment."""
    binary = os.path.join(FOLDER, "venv", "bin", "python")
    if not os.path.exists(binary) or subprocess.run([binary, "-c", f"import importlib.util as u, sys; sys.exit(not u.find_spec('{module}'))"]).returncode:
        raise Missing(module)
    return [binary, os.path.join(HERE, script), *args]


class Side:
    """One side of a row: a pipeline, where its output goes, and what it cost."""

    def __init__(self, name, *stages, stdin="/dev/null", scale=1.0, net=None):
        self.stages = [list(stage) for stage in stages]
        self.stdin = stdin
        self.output = os.path.join(OUTPUTS, name)
        # What the measured time is multiplied by, where a slow peer gets only a part of the corpus.
        self.scale = scale
        # The same work on ten lines: what starting costs.
        self.net = net
        self.starts = []
        self.seconds = []
        self.cpu = []
        self.peaks = []

    def run(self, first=False, stages=None):
        task = {"stages": stages or self.stages, "stdin": self.stdin, "stdout": self.output, "stderr": self.output + ".err", "first": first}
        done = subprocess.run([sys.executable, "-S", "-E", os.path.join(HERE, "measure.py"), json.dumps(task)], capture_output=True, text=True, check=True, env=ENVIRONMENT)
        cost = json.loads(done.stdout)
        bad = [code for code in cost["codes"] if code != 0]
        if bad:
            with open(self.output + ".err", errors="replace") as file:
                raise RuntimeError(f"{' | '.join(' '.join(stage) for stage in self.stages)}: exit {bad}: {file.read()[-500:]}")
        return cost

    def measure(self):
        start = self.run(stages=self.net) if self.net else {"seconds": 0, "cpu": 0}
        cost = self.run()
        self.starts.append(start["seconds"])
        self.seconds.append(cost["seconds"])
        self.cpu.append((cost["cpu"] - start["cpu"]) * self.scale)
        self.peaks.append(sum(cost["peaks"]))

    def close(self):
        """Takes off what starting costs and scales to the whole corpus."""
        start = statistics.median(self.starts)
        if start >= min(self.seconds):
            raise RuntimeError(f"starting takes {start:.2f} s, no less than the work: the corpus is too small")
        self.seconds = [(seconds - start) * self.scale for seconds in self.seconds]

    @property
    def median(self):
        return statistics.median(self.seconds)

    def text(self):
        with open(self.output, errors="replace") as file:
            return file.read()

    def json(self):
        with open(self.output) as file:
            return json.load(file)


# Nothing of the user's own settings may reach either side.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("WEIR_", "RIPGREP_"))} | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


def weir(*args, name="weir", **options):
    return Side(name, [WEIR, *args], **options)


def head(file, megabytes):
    """The first part of a corpus for a slow peer, and the factor to the whole."""
    part = CORPORA.head(file, size=min(megabytes * MEBI, CORPORA.size))
    return part, os.path.getsize(CORPORA.path(file)) / os.path.getsize(part)


def row(name, at_least=None, aim=None, extra=False):
    """Registers a row. `extra` rows have no goal and run only when named."""

    def register(function):
        ROWS[name] = (function, at_least, aim, extra)
        return function

    return register


def compare(name, ours, peer, check, at_least, aim, corpus, note=""):
    """Alternates the two sides and prints the row."""
    ours.run(), peer.run()
    for _ in range(RUNS):
        ours.measure()
        peer.measure()
    ours.close(), peer.close()
    agree = check()
    pairs = [b / a for a, b in zip(ours.seconds, peer.seconds)]
    ratio = peer.median / ours.median
    report(
        name,
        weir_s=ours.median,
        peer_s=peer.median,
        ratio=f"{ratio:.2f} ({min(pairs):.2f}-{max(pairs):.2f})",
        goal=verdict(ratio, at_least, aim),
        gbps=os.path.getsize(corpus) / ours.median / 1e9,
        cpu=processors(ours, peer),
        peaks=f"{max(ours.peaks) / MEBI:.1f} / {max(peer.peaks) / MEBI:.1f}" + (" MISSED (<= 64)" if max(ours.peaks) > 64 * MEBI else ""),
        agree=agree,
        note=note + (f" peer scaled x{peer.scale:.1f} from a part" if peer.scale != 1 else ""),
    )


def processors(*sides):
    """Seconds of processor time: what a busy machine disturbs least."""
    return " / ".join(f"{statistics.median(side.cpu):.2f}" for side in sides)


def verdict(value, at_least, aim, less=False):
    if at_least is None:
        return "-"
    reached = (lambda goal: value <= goal) if less else (lambda goal: value >= goal)
    return f"{'aim' if reached(aim) else 'ok' if reached(at_least) else 'MISSED'} (>= {at_least}, aim {aim})".replace(">=", "<=" if less else ">=")


def report(name, weir_s=None, peer_s=None, ratio="-", goal="-", gbps=None, cpu="-", peaks="-", agree="-", note=""):
    cell = lambda value, form: "-" if value is None else form % value
    print(
        "| " + " | ".join((name, cell(weir_s, "%.3f"), cell(peer_s, "%.3f"), ratio, goal, cell(gbps, "%.2f"), cpu, peaks, agree, note.strip())) + " |",
        flush=True,
    )


# ------------------------------------------------------------------ rows of the table
TWO = ("-m", "ERROR", "-m", "WARN")
RG = ("--no-config", "--no-messages", "-a", "-N", "--no-filename", "-e", "ERROR", "-e", "WARN")


def same_bytes(ours, peer):
    return lambda: ("yes" if filecmp.cmp(ours.output, peer.output, shallow=False) else "NO") + ": bytes of the output"


@row("filter", 1.3, 2)
def filter_lines(name, *goals):
    corpus = CORPORA.path("mixed.log")
    ours = weir("filter", "--multiline", "off", *TWO, corpus)
    peer = Side("peer", [tool("rg"), *RG, corpus])
    compare(name, ours, peer, same_bytes(ours, peer), *goals, corpus)


@row("count", 1.0, 1.4)
def filter_count(name, *goals):
    corpus = CORPORA.path("mixed.log")
    ours = weir("filter", "-c", "--multiline", "off", *TWO, corpus)
    peer = Side("peer", [tool("rg"), "-c", *RG, corpus])
    compare(name, ours, peer, lambda: yes(ours.text().strip() == peer.text().strip(), f"the count, {ours.text().strip()}"), *goals, corpus)


@row("count-auto", 1.0, 1.4)
def filter_count_auto(name, *goals):
    """As `count`, with records as weir joins them by default."""
    corpus = CORPORA.path("mixed.log")
    ours = weir("filter", "-c", *TWO, corpus)
    peer = Side("peer", [tool("rg"), "-c", *RG, corpus])
    # A record of several lines counts once, a line of rg always.
    check = lambda: yes(0 < int(ours.text()) <= int(peer.text()), f"records {ours.text().strip()} <= lines {peer.text().strip()}")
    compare(name, ours, peer, check, *goals, corpus)


@row("unique", 1.2, 2)
def unique_messages(name, *goals):
    corpus = CORPORA.path("mixed.log")
    ours = weir("-l", "warn", *TWO, "-o", "json", corpus)
    count = '{gsub(/[0-9]+/,"<*>"); c[$0]++} END{for(k in c) print c[k], k}'
    peer = Side("peer", [tool("rg"), *RG, corpus], [tool("mawk"), count])

    def check():
        said = ours.json()
        lines = sum(int(line.split(" ", 1)[0]) for line in open(peer.output, errors="replace"))
        # Lines that join a record count once in weir, each in awk.
        joined = said["ledger"]["lines"] - said["ledger"]["records"]
        kept = said["ledger"]["kept"]
        return yes(lines - joined <= kept <= lines and sum(said["levels"].values()) == kept, f"totals: weir {kept} records, awk {lines} lines, {joined} lines joined")

    compare(name, ours, peer, check, *goals, corpus)


@row("report", 1.2, 2)
def default_report(name, *goals):
    corpus = CORPORA.path("mixed.log")
    ours = weir("-o", "json", corpus)
    peer = Side("peer", python("duckdb_errors.py", "duckdb", corpus), net=[python("duckdb_errors.py", "duckdb", CORPORA.head("mixed.log", lines=10))])

    def check():
        said, truth = ours.json(), CORPORA.truth("mixed.log")
        errors = sum(int(line.split("\t", 1)[0]) for line in open(peer.output, errors="replace") if "\t" in line)
        grep = int(subprocess.run([WEIR, "filter", "-c", "--multiline", "off", "-m", "ERROR", corpus], capture_output=True, text=True, env=ENVIRONMENT).stdout)
        # The truth knows no level of the two syslog systems; theirs can only add.
        written = truth["by_level_as_written"]["ERROR"]
        unknown = truth["by_system"]["Linux"] + truth["by_system"]["OpenSSH"]
        lines = said["ledger"]["lines"]
        good = lines == truth["lines"] and sum(said["levels"].values()) == said["ledger"]["records"] and written <= said["levels"]["error"] <= written + unknown and errors == grep
        return yes(good, f"lines {lines} of {truth['lines']}, errors {said['levels']['error']} >= {written}; DuckDB's ERROR lines {errors} = filter -c {grep}")

    compare(name, ours, peer, check, *goals, corpus)


@row("templates", 60, 120)
def all_templates(name, *goals):
    corpus = CORPORA.path("mixed.log")
    part, scale = head("mixed.log", 16)
    ours = weir("-l", "trace", "--multiline", "off", "-o", "json", corpus)
    peer = Side("peer", python("drain3_mine.py", "drain3", part), scale=scale, net=[python("drain3_mine.py", "drain3", CORPORA.head("mixed.log", lines=10))])

    def check():
        said, drain = ours.json(), peer.json()
        listed = sum(message["count"] for message in said["messages"]) + said["messages_other"]
        lines = sum(1 for _ in open(part, "rb"))
        good = listed == said["ledger"]["records"] and drain["lines"] == lines
        truth = CORPORA.truth("mixed.log")["templates"]
        return yes(good, f"every record under a template; templates: weir {len(said['messages'])}, drain3 {drain['clusters']} (of a part), truth {truth}")

    compare(name, ours, peer, check, *goals, corpus)


JSON_QUERY = ("-w", "level != debug", "--metric", "latency_ms", "--metric", "cpu", "--by", "service", "-o", "json")


def services(said):
    """What weir says of json.log by service, in the order of the peers' columns."""
    count = {group["by"]["service"]: group["count"] for group in said["groups"]}
    by = {(metric["field"], metric["by"].get("service")): metric for metric in said["metrics"]}
    answer = {}
    for service, records in count.items():
        latency, cpu = by["latency_ms", service], by["cpu", service]
        answer[service] = [records, latency["p50"], latency["p90"], latency["p99"], latency["max"], cpu["mean"], cpu["p99"]]
    return answer


def near(a, b, tolerance):
    return abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-300)


def check_services(ours, peer, corpus):
    """Counts and maxima as the peer says, means to 1e-9; quantiles to 0.1 % of the exact nearest
    rank, which DuckDB sorts for outside the measured runs. How far the peer's own, approximate
    ones are from that is only said."""

    def check():
        said, mine, theirs, truth = ours.json(), services(ours.json()), peer.json(), CORPORA.truth("json.log")
        sort = subprocess.run(python("duckdb_json.py", "duckdb", corpus, "exact"), capture_output=True, text=True, check=True, env=ENVIRONMENT)
        exact = json.loads(sort.stdout)
        kept = said["ledger"]["kept"]
        good = said["ledger"]["lines"] == truth["lines"] and kept == truth["lines"] - truth["by_level"]["DEBUG"] == sum(row[0] for row in mine.values())
        good &= set(mine) == set(theirs) == set(truth["by_service"])
        worst = [0.0, 0.0]
        for service in truth["by_service"]:
            us, them, right = mine[service], theirs[service], exact[service]
            good &= us[0] == them[0] == right[0] and us[4] == them[4] == right[4] and near(us[5], them[5], 1e-9) and near(us[5], right[5], 1e-9)
            for place in (1, 2, 3, 6):
                good &= near(us[place], right[place], 0.001)
                worst = [max(worst[0], abs(us[place] / right[place] - 1)), max(worst[1], abs(them[place] / right[place] - 1))]
        return yes(good, f"{len(mine)} services: counts = truth, max equal, means 1e-9; quantiles off the exact ones by {worst[0]:.3%}, the peer's by {worst[1]:.2%}")

    return check


@row("json", 2, 2.5)
def json_report(name, *goals):
    json_against(name, goals, "duckdb_json.py", "duckdb")


@row("json-chdb", extra=True)
def json_chdb(name, *goals):
    json_against(name, goals, "chdb_json.py", "chdb")


@row("json-polars", extra=True)
def json_polars(name, *goals):
    json_against(name, goals, "polars_json.py", "polars")


def json_against(name, goals, script, module):
    corpus = CORPORA.path("json.log")
    ours = weir(*JSON_QUERY, corpus)
    peer = Side("peer", python(script, module, corpus), net=[python(script, module, CORPORA.head("json.log", lines=10))])
    compare(name, ours, peer, check_services(ours, peer, corpus), *goals, corpus)


@row("json-agrind", extra=True)
def json_agrind(name, *goals):
    corpus = CORPORA.path("json.log")
    part, scale = head("json.log", 64)
    ours = weir(*JSON_QUERY, corpus)
    query = '* | json | where level != "DEBUG" | count, p50(latency_ms), p90(latency_ms), p99(latency_ms), max(latency_ms), avg(cpu), p99(cpu) by service'
    peer = Side("peer", [tool("agrind"), "-o", "json", "-f", part, query], scale=scale)

    def check():
        theirs = {entry["service"]: entry["_count"] for entry in json.loads(peer.text())}
        mine = services(json.loads(subprocess.run([WEIR, *JSON_QUERY, part], capture_output=True, text=True, env=ENVIRONMENT).stdout))
        return yes(theirs == {service: row[0] for service, row in mine.items()}, "counts by service of the part")

    compare(name, ours, peer, check, *goals, corpus)


@row("json-jq", extra=True)
def json_jq(name, *goals):
    corpus = CORPORA.path("json.log")
    part, scale = head("json.log", 64)
    ours = weir(*JSON_QUERY, corpus)
    select = 'select(.level != "DEBUG") | [.service, .latency_ms, .cpu] | @tsv'
    add = '{n[$1]++; s[$1]+=$3} END{for(k in n) printf "%s %d %.17g\\n", k, n[k], s[k]/n[k]}'
    peer = Side("peer", [tool("jq"), "-r", select, part], [tool("mawk"), add], scale=scale)

    def check():
        theirs = {service: (int(count), float(mean)) for service, count, mean in (line.split() for line in peer.text().splitlines())}
        mine = services(json.loads(subprocess.run([WEIR, *JSON_QUERY, part], capture_output=True, text=True, env=ENVIRONMENT).stdout))
        good = set(theirs) == set(mine) and all(theirs[key][0] == mine[key][0] and near(theirs[key][1], mine[key][5], 1e-9) for key in mine)
        return yes(good, "counts and means by service of the part; jq makes no quantiles")

    compare(name, ours, peer, check, *goals, corpus)


ACCESS_QUERY = ("--by", "status", "--by", "path", "--metric", "response_time", "--top", "10", "-o", "json")


def access_answer(said):
    status, path = {}, {}
    for group in said["groups"]:
        if not group.get("other"):
            for table, key in ((status, "status"), (path, "path")):
                if key in group["by"]:
                    table[group["by"][key]] = group["count"]
    overall = next(metric for metric in said["metrics"] if metric["field"] == "response_time" and not metric["by"])
    return status, path, overall["p99"]


def check_status(status, truth):
    """--top cuts the statuses too: the most frequent ten are compared."""
    want = sorted(truth["by_status"].items(), key=lambda item: -item[1])[:10]
    return status == dict(want)


@row("access", 2, 3)
def access_report(name, *goals):
    corpus = CORPORA.path("access.log")
    ours = weir(*ACCESS_QUERY, corpus)
    peer = Side("peer", python("duckdb_access.py", "duckdb", corpus), net=[python("duckdb_access.py", "duckdb", CORPORA.head("access.log", lines=10))])

    def check():
        (status, path, p99), theirs, truth = access_answer(ours.json()), peer.json(), CORPORA.truth("access.log")
        good = check_status(status, truth) and theirs["status"] == truth["by_status"] and path == theirs["path"]
        exact = truth["request_time_s"]["p99"]
        good &= near(p99, exact, 0.001) and near(theirs["p99"], exact, 0.01)
        return yes(good, f"statuses = truth, top 10 paths equal, p99 {p99} of {exact}, DuckDB {theirs['p99']:.4f}")

    compare(name, ours, peer, check, *goals, corpus)


@row("access-goaccess", 100, 300)
def access_goaccess(name, *goals):
    corpus = CORPORA.path("access.log")
    part, scale = head("access.log", 64)
    out = os.path.join(OUTPUTS, "goaccess.json")
    form = '%h %^ %e [%d:%t %^] "%r" %s %b "%R" "%u" %T'
    ours = weir(*ACCESS_QUERY, corpus)
    peer = Side("peer", [tool("goaccess"), part, "--no-global-config", "--no-progress", "--no-ip-validation", "--ignore-panel=REFERRERS", "--log-format=" + form, "--date-format=%d/%b/%Y", "--time-format=%H:%M:%S", "-o", out], scale=scale)

    def check():
        with open(out, errors="replace") as file:
            theirs = json.load(file)
        codes = {}
        for group in theirs.get("status_codes", {}).get("data", []):
            for code in group.get("items", [group]):
                codes[str(code["data"]).split(" ")[0]] = code["hits"]["count"] if isinstance(code["hits"], dict) else code["hits"]
        said = json.loads(subprocess.run([WEIR, "--by", "status", "-o", "json", part], capture_output=True, text=True, env=ENVIRONMENT).stdout)
        mine = {group["by"]["status"]: group["count"] for group in said["groups"]}
        return yes(codes == mine, f"{len(mine)} status counts of the part")

    compare(name, ours, peer, check, *goals, corpus)


@row("access-mawk", extra=True)
def access_mawk(name, *goals):
    corpus = CORPORA.path("access.log")
    ours = weir(*ACCESS_QUERY, corpus)
    count = '{n=split($0,q,"\\""); split(q[2],r," "); split(q[3],s," "); a[s[1]]++; b[r[2]]++; t+=$NF} END{for(k in a) print "status", a[k], k; for(k in b) print "path", b[k], k; print "mean", t/NR}'
    peer = Side("peer", [tool("mawk"), count, corpus])

    def check():
        status, path, _ = access_answer(ours.json())
        counts = {"status": {}, "path": {}}
        for line in peer.text().splitlines():
            kind, count, *key = line.split(" ", 2)
            if kind in counts:
                counts[kind][key[0]] = int(count)
        good = all(counts["status"].get(key) == count for key, count in status.items()) and all(counts["path"].get(key) == count for key, count in path.items())
        return yes(good, "statuses and top 10 paths")

    compare(name, ours, peer, check, *goals, corpus)


# ------------------------------------------------------------------ hard twins: weir against itself
def twin(name, goal, plain, hard, note, agree=None):
    """How fast the hard case goes, in bytes per second, as a share of the row it belongs to."""
    (plain, plain_file), (hard, hard_file) = plain, hard
    plain.run(), hard.run()
    for _ in range(RUNS):
        plain.measure()
        hard.measure()
    speed = [os.path.getsize(file) / side.median / 1e9 for side, file in ((plain, plain_file), (hard, hard_file))]
    share = speed[1] / speed[0]
    pairs = [(os.path.getsize(hard_file) / b) / (os.path.getsize(plain_file) / a) for a, b in zip(plain.seconds, hard.seconds)]
    report(
        name, hard.median, plain.median, f"{share:.2f} ({min(pairs):.2f}-{max(pairs):.2f})", verdict(share, goal, goal), speed[1], processors(hard, plain),
        f"{max(hard.peaks) / MEBI:.1f} / {max(plain.peaks) / MEBI:.1f}", agree() if agree else "-", note,
    )


@row("twin-multiline-filter", 0.8)
def twin_multiline_filter(name, goal, _):
    mixed = CORPORA.path("mixed.log")
    off, auto = weir("filter", "--multiline", "off", *TWO, mixed, name="plain"), weir("filter", *TWO, mixed)
    twin(name, goal, (off, mixed), (auto, mixed), "multiline auto against off, filter")


@row("twin-multiline-report", 0.8)
def twin_multiline_report(name, goal, _):
    mixed = CORPORA.path("mixed.log")
    off, auto = weir("--multiline", "off", "-o", "json", mixed, name="plain"), weir("-o", "json", mixed)
    twin(name, goal, (off, mixed), (auto, mixed), "multiline auto against off, report")


@row("twin-json-shuffled", 0.4)
def twin_json_shuffled(name, goal, _):
    twin_json(name, goal, "shuffled.log", "keys in another order on every line")


@row("twin-json-varying", 0.4)
def twin_json_varying(name, goal, _):
    twin_json(name, goal, "varying.log", "keys come, go and nest from line to line")


def twin_json(name, goal, file, note):
    plain, hard = CORPORA.path("json.log"), CORPORA.path(file)
    ours, theirs = weir(*JSON_QUERY, hard), weir(*JSON_QUERY, plain, name="plain")

    def agree():
        a, b = services(ours.json()), services(theirs.json())
        good = set(a) == set(b) and all(x == y or near(x, y, 1e-12) for key in a for x, y in zip(a[key], b[key]))
        return yes(good, "the same figures by service")

    twin(name, goal, (theirs, plain), (ours, hard), note, agree)


@row("twin-ignore-case", 0.5)
def twin_ignore_case(name, goal, _):
    mixed = CORPORA.path("mixed.log")
    plain, hard = weir("filter", "--multiline", "off", *TWO, mixed, name="plain"), weir("filter", "--multiline", "off", "-i", *TWO, mixed)
    twin(name, goal, (plain, mixed), (hard, mixed), f"-i: {lines_of(hard, plain)}")


FIFTY = """ERROR WARN OutOfMemory StackOverflow SIGSEGV SIGABRT deadlock livelock corrupted checksum quorum panicked unreachable overflowed
    unauthorised throttled evicted oomkilled backpressure unhealthy quarantined misconfigured split-brain rollback aborted truncated expired
    certificate handshake unresolved blackhole starvation saturation degraded failover readonly ENOSPC EMFILE ECONNRESET ETIMEDOUT EPIPE
    segfault watchdog hung_task softlockup thermal brownout tombstone poisoned stalled""".split()


@row("twin-fifty-literals", 0.5)
def twin_fifty(name, goal, _):
    assert len(set(FIFTY)) == 50
    mixed = CORPORA.path("mixed.log")
    many = [word for literal in FIFTY for word in ("-m", literal)]
    plain, hard = weir("filter", "--multiline", "off", *TWO, mixed, name="plain"), weir("filter", "--multiline", "off", *many, mixed)
    twin(name, goal, (plain, mixed), (hard, mixed), f"50 literals: {lines_of(hard, plain)}")


def lines_of(hard, plain):
    """Says how much more the hard side writes."""
    hard.run(), plain.run()
    return f"writes {os.path.getsize(hard.output) / max(1, os.path.getsize(plain.output)):.2f} times the bytes"


@row("twin-interleaved", 0.7)
def twin_interleaved(name, goal, _):
    mixed, sorted_file = CORPORA.path("mixed.log"), CORPORA.path("sorted.log")
    plain, hard = weir("-o", "json", sorted_file, name="plain"), weir("-o", "json", mixed)
    agree = lambda: yes(plain.json()["levels"] == hard.json()["levels"], "levels")
    twin(name, goal, (plain, sorted_file), (hard, mixed), "eight formats line by line against one after the other", agree)


@row("twin-interleaved-all", 0.7)
def twin_interleaved_all(name, goal, _):
    mixed, sorted_file = CORPORA.path("mixed.log"), CORPORA.path("sorted.log")
    plain, hard = weir("-l", "trace", "-o", "json", sorted_file, name="plain"), weir("-l", "trace", "-o", "json", mixed)
    twin(name, goal, (plain, sorted_file), (hard, mixed), "the same with templates of all records")


@row("twin-bare", 0.8)
def twin_bare(name, goal, _):
    mixed, bare = CORPORA.path("mixed.log"), CORPORA.path("bare.log")
    plain, hard = weir("-o", "json", mixed, name="plain"), weir("-o", "json", bare)
    agree = lambda: f"{sum(hard.json()['levels'].values()) - hard.json()['levels']['none']} records still have a level, {hard.json()['ledger']['records'] - hard.json()['ledger']['no_time']} a time"
    twin(name, goal, (plain, mixed), (hard, bare), "no time or level anywhere", agree)


@row("twin-bare-all", 0.8)
def twin_bare_all(name, goal, _):
    mixed, bare = CORPORA.path("mixed.log"), CORPORA.path("bare.log")
    plain, hard = weir("-l", "trace", "-o", "json", mixed, name="plain"), weir("-l", "trace", "-o", "json", bare)
    twin(name, goal, (plain, mixed), (hard, bare), "the same with templates of all records")


@row("twin-unique", 0.1)
def twin_unique(name, goal, _):
    corpus = CORPORA.path("unique.log")
    ours = weir("-o", "json", corpus)
    ours.run()
    for _ in range(RUNS):
        ours.measure()
    speed = os.path.getsize(corpus) / ours.median / 1e9
    report(name, ours.median, goal=verdict(speed, goal, goal), gbps=speed, peaks=f"{max(ours.peaks) / MEBI:.1f} / -", agree=totals(ours.json(), "messages"), note="every message unique; the goal is GB/s")


def from_pipe(name, goal, writer, reader):
    """Both tools behind the same cat, each side on the same cores."""
    corpus = CORPORA.path("mixed.log")
    pin = lambda cores, *argv: [tool("taskset"), "-c", cores, *argv]
    ours = Side("weir", pin(writer, "cat", corpus), pin(reader, WEIR, "filter", "--multiline", "off", *TWO))
    peer = Side("peer", pin(writer, "cat", corpus), pin(reader, tool("rg"), *RG))
    compare(name, ours, peer, same_bytes(ours, peer), goal, goal, corpus, note=f"cat on cores {writer}, the tool on {reader}")


@row("twin-pipe", 1.0)
def twin_pipe(name, goal, _):
    from_pipe(name, goal, "0,1", "0,1")


@row("twin-pipe-one-core", 1.0)
def twin_pipe_one_core(name, goal, _):
    from_pipe(name, goal, "0", "1")


# ------------------------------------------------------------------ limits
def totals(said, table):
    """That nothing is missing from a table past its limit, and that the report says so."""
    kept = said["ledger"]["kept"]
    if table == "messages":
        listed = sum(message["count"] for message in said["messages"]) + said["messages_other"]
        found = f"{len(said['messages'])} rows, {said['messages_other']} in other"
    else:
        listed = sum(group["count"] for group in said["groups"])
        found = f"{len(said['groups'])} rows"
    named = [entry for entry in said["approximate"] if table in json.dumps(entry)]
    return yes(listed == kept and said["ledger"]["unaccounted"] == 0, f"{listed} of {kept} records, {found}; approximate: {json.dumps(named or said['approximate'])}")


def memory(name, goals, corpus, args, table, note):
    """Peak of a run that passes a table's limit, as text and as JSON, which also shows the totals."""
    peaks = []
    for form in ("text", "json"):
        side = weir(*args, "-o", form, corpus)
        for _ in range(min(RUNS, 3)):
            side.measure()
        peaks.append(max(side.peaks) / MEBI)
    report(
        name, side.median, goal=verdict(max(peaks), *goals, less=True), gbps=os.path.getsize(corpus) / side.median / 1e9,
        peaks=f"{peaks[0]:.1f} text, {peaks[1]:.1f} json", agree=totals(side.json(), table), note=f"{note}; the goal is MiB; seconds as json",
    )


@row("memory-messages", 96, 64)
def memory_messages(name, *goals):
    memory(name, goals, CORPORA.path("messages.log"), (), "messages", "10,000,000 distinct messages")


@row("memory-groups", 96, 64)
def memory_groups(name, *goals):
    memory(name, goals, CORPORA.path("keys.log"), ("--by", "user"), "groups", "1,000,000 distinct group keys")


@row("memory-series", 64, 32)
def memory_series(name, *goals):
    corpus = CORPORA.path("series.log")
    plain, ours = weir("--metric", "latency_ms", corpus, name="plain"), weir("--metric", "latency_ms", "--by", "series", corpus)
    for _ in range(min(RUNS, 3)):
        plain.measure()
        ours.measure()
    table = (max(ours.peaks) - max(plain.peaks)) / MEBI
    whole = weir("--metric", "latency_ms", "--by", "series", "-o", "json", corpus, name="json")
    peak = sum(whole.run()["peaks"]) / MEBI
    rows = [metric for metric in whole.json()["metrics"] if metric["by"] and not metric.get("other")]
    good = len(rows) == 10_000 and all(metric["count"] == 1000 for metric in rows)
    report(
        name, ours.median, goal=verdict(table, *goals, less=True), gbps=os.path.getsize(corpus) / ours.median / 1e9, peaks=f"{max(ours.peaks) / MEBI:.1f} text, {peak:.1f} json",
        agree=yes(good, f"{len(rows)} rows of 1000 samples"), note=f"the table is {table:.1f} MiB: the peak as text less that of the same run without --by",
    )


@row("start", 5, 2.5)
def start(name, *goals):
    ours = weir("/dev/null")
    firsts, wholes, none = [], [], []
    nothing = Side("nothing", [tool("true")])
    for _ in range(51):
        cost = ours.run(first=True)
        firsts.append(cost["first"] * 1000)
        wholes.append(cost["seconds"] * 1000)
        none.append(nothing.run()["seconds"] * 1000)
    first = statistics.median(firsts[1:])
    report(name, first / 1000, goal=verdict(first, *goals, less=True), note=f"first output after {first:.2f} ms ({min(firsts):.2f} at best), end {statistics.median(wholes[1:]):.2f} ms, of which {statistics.median(none[1:]):.2f} ms any program takes (true); the goal is ms")


@row("binary", 10, 6)
def binary(name, *goals):
    copy = os.path.join(OUTPUTS, "stripped")
    subprocess.run(["strip", "-o", copy, WEIR], check=True)
    megabytes = os.path.getsize(copy) / 1e6
    report(name, goal=verdict(megabytes, *goals, less=True), note=f"{megabytes:.2f} MB stripped")


def yes(good, how):
    return ("yes" if good else "NO") + ": " + how


def versions():
    """What the figures were taken with."""
    found = []
    for name, flag in (("rg", "--version"), ("agrind", "--version"), ("mawk", "-Wversion"), ("jq", "--version"), ("goaccess", "--version")):
        try:
            said = subprocess.run([tool(name), flag], capture_output=True, text=True, env=ENVIRONMENT).stdout.splitlines()
        except Missing:
            continue
        found.append(said[0].strip() if said else name)
    binary = os.path.join(FOLDER, "venv", "bin", "python")
    if os.path.exists(binary):
        listed = subprocess.run([binary, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True).stdout
        found += [f"{package['name']} {package['version']}" for package in json.loads(listed or "[]") if package["name"] in ("duckdb", "chdb", "polars", "drain3")]
    return "; ".join(found)


# ------------------------------------------------------------------ main
def main():
    wanted = sys.argv[1:]
    if wanted == ["--list"]:
        for name, (_, at_least, aim, extra) in ROWS.items():
            print(name, "(no goal; runs when named)" if extra else f"goal {at_least}" + (f", aim {aim}" if aim else ""))
        return 0
    names = [name for name, row in ROWS.items() if any(fnmatch.fnmatch(name, pattern) for pattern in wanted) or (not wanted and not row[3])]
    unknown = [pattern for pattern in wanted if not any(fnmatch.fnmatch(name, pattern) for name in ROWS)]
    if unknown:
        print(f"peers: no such row: {', '.join(unknown)}; --list lists them", file=sys.stderr)
        return 2
    os.makedirs(OUTPUTS, exist_ok=True)
    print(f"weir: {WEIR}; corpora of {CORPORA.size / MEBI:.0f} MiB; medians of {RUNS} alternating runs; {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")
    print(f"peers: {versions()}\n")
    print("| row | weir s | peer s | ratio (of pairs) | goal | GB/s | CPU s weir / peer | peak MiB weir / peer | answers agree | |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    failed = 0
    for name in names:
        function, at_least, aim, _ = ROWS[name]
        try:
            function(name, at_least, aim)
        except Missing as missing:
            report(name, note=f"skipped: {missing} is not installed")
        except (RuntimeError, OSError, KeyError, ValueError, StopIteration, subprocess.CalledProcessError) as error:
            failed += 1
            report(name, note=f"FAILED: {type(error).__name__}: {error}".replace("\n", " ").replace("|", "/"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
