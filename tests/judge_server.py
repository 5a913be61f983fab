"""A real server on loopback that speaks /v1/chat/completions; a tiny causal LM generates what it says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

Messages = list[dict[str, str]]
VERDICTS = {"Score:": ["Score: 1", "Score: 4", "Score: 10"], "Verdict:": ["Verdict: A", "Verdict: B", "Verdict: tie"]}


def likeliest(base: Any, messages: Messages) -> str:
    """What the model generates, guided: of the verdicts that the question allows, the one it finds likeliest."""
    asked = next((name for name in VERDICTS if name in messages[0]["content"]), None)
    text = base.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt = base.tokenizer(text, add_special_tokens=False).input_ids[-96:]
    if asked is None:
        output = base.model.generate(torch.tensor([prompt]), max_new_tokens=4, do_sample=False, pad_token_id=1)
        return base.tokenizer.decode(output[0, len(prompt) :])
    options = [base.tokenizer(option, add_special_tokens=False).input_ids for option in VERDICTS[asked]]

    def next_tokens(_: int, sequence: torch.Tensor) -> list[int]:
        said = sequence[len(prompt) :].tolist()
        return [o[len(said)] if len(o) > len(said) else 1 for o in options if o[: len(said)] == said] or [1]

    output = base.model.generate(
        torch.tensor([prompt]),
        max_new_tokens=32,
        use_cache=True,
        do_sample=False,
        pad_token_id=1,
        prefix_allowed_tokens_fn=next_tokens,
    )
    return base.tokenizer.decode(output[0, len(prompt) :], skip_special_tokens=True)


@dataclass
class Server:
    """`requests`: the bodies it got. `failing`: maps the number of a request to a status, or None to hang up."""

    reply: Callable[[Messages], str]
    failing: Callable[[int], int | None] = lambda number: 200
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""
    lock: Any = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:  # the model is shared
            text = self.reply(body["messages"])
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.requests.append(body)
                server.keys.append(self.headers["Authorization"])
                number = len(server.requests)
            status = server.failing(number) if self.path == "/v1/chat/completions" else 404
            if status is None:
                self.close_connection = True
                self.connection.close()
                return
            content = server.answer(body) if status == 200 else {"error": {"message": f"no, {server.keys[-1]}"}}
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join(timeout=10)
