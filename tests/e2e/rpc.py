# SPDX-License-Identifier: MIT
"""A client of the control socket: JSON-RPC, one message a line."""
import json
import socket

from processes import DEADLINE, Failed


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.code = error.get("code")
        self.message = error.get("message")
        self.data = error.get("data")


class Client:
    """A connection that speaks JSON-RPC, one message a line."""

    def __init__(self, path, timeout=DEADLINE):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.buffer = b""
        self.last_id = 0
        try:
            self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, message):
        self.send_raw(json.dumps(message).encode() + b"\n")

    def receive_line(self):
        """One line without its end; None when the other side has closed."""
        while b"\n" not in self.buffer:
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def receive(self):
        line = self.receive_line()
        return None if line is None else json.loads(line)

    def start_call(self, method, **params):
        self.last_id += 1
        message = {"jsonrpc": "2.0", "id": self.last_id, "method": method}
        if params:
            message["params"] = params
        self.send(message)
        return self.last_id

    def call(self, method, **params):
        try:
            self.start_call(method, **params)
        except BrokenPipeError:
            pass  # sent away before a word; what was said at the door can still be read
        while True:
            answer = self.receive()
            if answer is None:
                raise Failed(f"{method}: the connection ended without an answer")
            if "error" in answer and answer["id"] in (self.last_id, None):
                raise RpcError(answer["error"])
            if answer.get("id") == self.last_id:
                return answer["result"]
