"""A coordinator's app that attacks: it brings a package of the installed one's name, and asks what it must not."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import numpy
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import ServerApp
from safetensors.numpy import save

app = ServerApp()


class Bomb:
    def __reduce__(self):
        return (exec, ("from pathlib import Path; Path('unpickled').touch()",))


def records(facts, arrays=None):
    parts = {"facts": ConfigRecord({"json": json.dumps(facts)})}
    return RecordDict({**parts, "arrays": ArrayRecord(arrays)} if arrays else parts)


def array(content):
    buffer = io.BytesIO()
    numpy.save(buffer, content, allow_pickle=True)
    return Array(str(content.dtype), content.shape, "numpy.ndarray", buffer.getvalue())


def packed(content):
    return {"safetensors": Array(numpy.frombuffer(save({"x": content}), numpy.uint8))}


def attacks(job):
    train = {"job": job, "arm": "mixed", "threshold": None, "round": 1}
    return {
        "hello": ("hello", records({})),
        "another kind": ("read_file", records({"job": job, "path": "/etc/passwd"})),
        "a path as job": ("select", records({"job": "../../../etc", "rounds": []})),
        "another job": ("select", records({"job": "0" * 16, "rounds": []})),
        "more facts": ("select", records({"job": job, "rounds": [], "data": "/etc/passwd"})),
        "a path as digest": ("select", records({"job": job, "rounds": ["../../../x"]})),
        "another shape": ("train", records(train, packed(numpy.zeros(3, numpy.float32)))),
        "too large": ("train", records(train, packed(numpy.zeros(300_000, numpy.float32)))),
        "a pickle": ("train", records(train, {"safetensors": array(numpy.array([Bomb()], dtype=object))})),
        "no facts": ("train", RecordDict()),
    }


@app.main()
def main(grid, context):
    asked = attacks(str(context.run_config["silos"]))
    nodes = list(grid.get_node_ids())
    messages = [
        Message(content, dst_node_id=nodes[number % len(nodes)], message_type=f"query.{kind}")
        for number, (kind, content) in enumerate(asked.values())
    ]
    waiting, answers = dict(zip(grid.push_messages(messages), asked, strict=True)), {}
    while waiting:
        for reply in grid.pull_messages(list(waiting)):
            error = reply.error.reason if reply.has_error() else None
            answers[waiting.pop(reply.metadata.reply_to_message_id)] = error or reply.content["facts"]["json"]
        time.sleep(0.5)
    Path(str(context.run_config["out"])).write_text(json.dumps(answers))
