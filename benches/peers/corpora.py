"""The corpora of the rows: gen_corpus.py's three, and twins made from them or for them.

`path(name)` makes a corpus if it is not there yet and returns where it lies. A file appears under
its name only when it is whole, so an interrupted run leaves nothing that looks finished.
"""
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys

MEBI = 1 << 20


class Corpora:
    def __init__(self, folder, data, size):
        self.size = size
        self.folder = os.path.join(folder, f"{size // MEBI}MiB")
        self.data = data
        os.makedirs(self.folder, exist_ok=True)

    def path(self, name):
        place = os.path.join(self.folder, name)
        if not os.path.exists(place):
            print(f"peers: making {name}", file=sys.stderr)
            make = getattr(self, name.split(".")[0].replace("-", "_"))
            make(place + ".part")
            os.rename(place + ".part", place)
        return place

    def truth(self, name):
        self.path(name)
        with open(os.path.join(self.folder, name.split(".")[0] + ".truth.json")) as file:
            return json.load(file)

    def head(self, name, lines=None, size=None):
        """The first lines of a corpus, as a file."""
        source = self.path(name)
        place = os.path.join(self.folder, f"{name}.{f'{lines}lines' if lines else f'{size // MEBI}MiB'}")
        if not os.path.exists(place):
            with open(source, "rb") as reader, open(place + ".part", "wb") as writer:
                if lines:
                    writer.writelines(itertools.islice(reader, lines))
                else:
                    block = reader.read(size)
                    writer.write(block[: block.rfind(b"\n") + 1])
            os.rename(place + ".part", place)
        return place

    def generated(self, kind, place):
        tool = os.path.join(self.data, "gen_corpus.py")
        truth = os.path.join(self.folder, kind + ".truth.json")
        with open(place, "wb") as file:
            subprocess.run([sys.executable, tool, kind, "--bytes", str(self.size), "--truth", truth], stdout=file, check=True)

    def mixed(self, place):
        self.generated("mixed", place)

    def json(self, place):
        self.generated("json", place)

    def access(self, place):
        self.generated("access", place)

    def sorted(self, place):
        """mixed.log with the lines of one system after the other: the same bytes in another order."""
        systems = [
            rb"\[\w{3} \w{3} ",  # Apache
            rb"\d{6} \d{6} ",  # HDFS
            rb"\d\d/\d\d/\d\d ",  # Spark
            rb"\S+\.log\S* ",  # OpenStack
            rb"\w{3} [ \d]\d [\d:]+ LabSZ ",  # OpenSSH
            rb"\w{3} [ \d]\d [\d:]+ ",  # Linux
            rb"[-\d]+ [:\d]+,\d{3} - ",  # Zookeeper
        ]
        which = re.compile(b"|".join(b"(%s)" % system for system in systems))
        parts = [open(f"{place}{index}", "w+b") for index in range(len(systems) + 1)]
        with open(self.path("mixed.log"), "rb") as reader:
            for line in reader:
                found = which.match(line)
                parts[found.lastindex if found else 0].write(line)
        with open(place, "wb") as writer:
            for part in parts:
                part.seek(0)
                shutil.copyfileobj(part, writer, MEBI)
                part.close()
                os.remove(part.name)

    def bare(self, place):
        """mixed.log without any time, level or level-like word: the words behind the heads."""
        head = re.compile(
            rb"^(?:\S+\.log\S* )?\[?(?:\w{3} )?(?:\w{3} [ \d]\d [\d:]+(?: \d{4})?|\d{6} \d{6}|\d\d/\d\d/\d\d [\d:]+|[-\d]{10} [\d:]+(?:[.,]\d+)?)\]? ?(?:- )?"
        )
        level = re.compile(rb"(?i)\b(?:trace|debug|info|notice|warn|warning|err|error|crit|critical|alert|fatal|emerg|emergency|panic|severe|failed|failure)\b:?")
        with open(self.path("mixed.log"), "rb") as reader, open(place, "wb") as writer:
            for line in reader:
                writer.write(level.sub(b"item", head.sub(b"", line)).lstrip(b" "))

    def shuffled(self, place):
        """json.log with the keys of every line in an order of its own, nested ones too."""
        randoms = random.Random(1)

        def shuffle(pairs):
            pairs = list(pairs)
            randoms.shuffle(pairs)
            return dict(pairs)

        self.each_object(place, lambda text: json.loads(text, object_pairs_hook=shuffle))

    def varying(self, place):
        """json.log with keys left out, added and nested at random: no two lines need be alike."""
        randoms = random.Random(1)
        spare = ["host", "region", "mem_mb", "status", "trace_id", "http", "msg"]

        def vary(text):
            old = json.loads(text)
            for name in randoms.sample(spare, randoms.randrange(0, 4)):
                del old[name]
            new = {}
            for name, value in old.items():
                if randoms.random() < 0.2:
                    new[f"x{randoms.randrange(100)}"] = randoms.choice((None, True, 17, "text", [1, {"cpu": 2}], {"level": "deep"}))
                new[name] = value
            return new

        self.each_object(place, vary)

    def each_object(self, place, change):
        write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
        with open(self.path("json.log"), encoding="utf-8") as reader, open(place, "w", encoding="utf-8") as writer:
            for line in reader:
                writer.write(write(change(line)) + "\n")

    def unique(self, place):
        """Errors of which no two say the same, however numbers are masked: their words differ."""
        self.distinct(place, size=self.size)

    def messages(self, place):
        """10,000,000 messages, each of its own."""
        self.distinct(place, lines=10_000_000)

    def distinct(self, place, size=1 << 62, lines=1 << 62):
        words = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("l", "m", "n", "r", "s", "t", "x", "nd", "rk", "st")]
        words = [first + second for first in words for second in ("o", "e", "um", "is")]
        count = len(words)
        written = 0
        with open(place, "w", encoding="ascii") as writer:
            for number in range(lines):
                # The digits of the number in base `count` are words, so no two lines are alike.
                a, rest = number % count, number // count
                b, c = rest % count, rest // count % count
                second = number // 2000
                line = (
                    f"2024-03-{1 + second // 86400 % 28:02} {second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02},{number % 1000:03} "
                    f"ERROR [main] org.example.Store: cannot bring {words[a]} to {words[b]} while {words[c]} waits\n"
                )
                written += len(line)
                if written > size:
                    break
                writer.write(line)

    def keys(self, place):
        """3,000,000 records of 1,000,000 users."""
        with open(place, "w", encoding="ascii") as writer:
            for number in range(3_000_000):
                user = number * 7919 % 1_000_000
                writer.write(f'{{"level":"info","user":"user-{user:06}","msg":"seen"}}\n')

    def series(self, place):
        """10,000 series with 1,000 lognormal samples each, in no order."""
        randoms = random.Random(1)
        with open(place, "w", encoding="ascii") as writer:
            for _ in range(1000):
                order = list(range(10_000))
                randoms.shuffle(order)
                writer.writelines(f"level=info series=s{key} latency_ms={randoms.lognormvariate(3.2, 0.8):.3f}\n" for key in order)
