"""Drain3 over every line of a log, with its defaults and digits and hex masked. drain3_mine.py FILE"""
import json
import sys

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

config = TemplateMinerConfig()
config.profiling_enabled = False
config.masking_instructions = [MaskingInstruction(r"0x[0-9a-fA-F]+|\d+", "N")]
miner = TemplateMiner(config=config)
with open(sys.argv[1], encoding="utf-8", errors="replace", newline="\n") as lines:
    for line in lines:
        miner.add_log_message(line.rstrip("\n"))
clusters = miner.drain.clusters
json.dump({"clusters": len(clusters), "lines": sum(cluster.size for cluster in clusters)}, sys.stdout)
