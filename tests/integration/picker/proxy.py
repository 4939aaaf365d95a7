"""A pretended proxy: one ext_proc stream per request, spoken by a stock gRPC client.

Import it after clients.run_inside().
"""

import base64
import json
import queue
import tempfile

import clients
import grpc
from google.protobuf import json_format

DESTINATION = "x-gateway-destination-endpoint"
_stubs = None


def stubs():
    global _stubs
    if _stubs is None:
        folder = tempfile.TemporaryDirectory()
        clients.generate_stubs(folder.name)
        import ext_proc_pb2
        import ext_proc_pb2_grpc
        import health_pb2
        import health_pb2_grpc

        _stubs = (folder, ext_proc_pb2, ext_proc_pb2_grpc, health_pb2, health_pb2_grpc)
    return _stubs


def fields(headers):
    return {"headers": {"headers": [{"key": k, "raw_value": base64.b64encode(v.encode()).decode()}
                                    for k, v in headers.items()]}}




class Request:
    """One request whose stream is open; close() or complete() ends it."""

    def __init__(self, proxy, path, body, headers, metadata, timeout):
        _, messages, services, _, _ = stubs()
        self.messages = messages
        self.outgoing = queue.Queue()
        self.call = services.ExternalProcessorStub(proxy.channel).Process(iter(self.outgoing.get, None),
                                                                           timeout=timeout)
        self.status = None  # of an immediate response
        self.refusal = ""
        self.refusal_headers = {}
        self.headers = {}
        self.removed = []
        self.sent_body = b""
        text = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        first = {"request_headers": fields({":method": "POST" if text else "GET", ":path": path} | headers)}
        first["request_headers"]["end_of_stream"] = text is None
        if metadata:
            first["metadata_context"] = {"filter_metadata": metadata}
        self.send(first)
        if text is not None:
            last = {"request_body": {"body": base64.b64encode(text).decode(), "end_of_stream": True}}
            if metadata:
                last["metadata_context"] = {"filter_metadata": metadata}
            self.send(last)
        self.has_body = text is not None

    def send(self, message):
        self.outgoing.put(json_format.ParseDict(message, self.messages.ProcessingRequest()))

    def receive(self):
        return json_format.MessageToDict(next(self.call), preserving_proto_field_name=True)

    def immediate(self, message):
        refused = message["immediate_response"]
        code = refused["status"]["code"]
        names = {"BadRequest": 400, "TooManyRequests": 429, "ServiceUnavailable": 503, "InternalServerError": 500}
        self.status = names.get(code, code)
        self.refusal = base64.b64decode(refused.get("body", "")).decode()
        self.refusal_headers = decode(refused.get("headers", {}).get("set_headers", []))
        self.outgoing.put(None)

    def decide(self):
        """Waits for the picker's word on the request."""
        message = self.receive()
        if "immediate_response" in message:
            self.immediate(message)
            return self
        mutation = message["request_headers"].get("response", {}).get("header_mutation", {})
        self.headers = decode(mutation.get("set_headers", []))
        self.removed = mutation.get("remove_headers", [])
        while self.has_body:
            piece = self.receive()["request_body"]["response"]["body_mutation"]["streamed_response"]
            self.sent_body += base64.b64decode(piece.get("body", ""))
            if piece.get("end_of_stream"):
                break
        return self

    @property
    def destination(self):
        return self.headers.get(DESTINATION)

    def answer_begins(self, status=200, content_type="application/json"):
        self.send({"response_headers": fields({":status": str(status), "content-type": content_type})})
        return self.receive()

    def answer_part(self, body, last=False):
        self.send({"response_body": {"body": base64.b64encode(body).decode(), "end_of_stream": last}})
        return self.receive()

    def complete(self, usage=None, status=200):
        self.answer_begins(status)
        self.answer_part(json.dumps({"object": "text_completion", "usage": usage or {}}).encode(), True)
        self.close()

    def close(self):
        self.outgoing.put(None)
        for _ in self.call:
            pass

    def cancel(self):
        self.outgoing.put(None)
        self.call.cancel()


def decode(headers):
    found = {}
    for each in headers:
        field = each["header"]
        raw = field.get("raw_value")
        found[field["key"].lower()] = base64.b64decode(raw).decode() if raw else field.get("value", "")
    return found


class Proxy:
    def __init__(self, address, root_certificate=None):
        if root_certificate is None:
            self.channel = grpc.insecure_channel(address)
        else:
            self.channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(root_certificate))

    def open(self, path="/v1/completions", body=None, headers=None, metadata=None, timeout=30):
        return Request(self, path, body, headers or {}, metadata, timeout)

    def complete(self, model="m", prompt="Hello", headers=None, usage=None, metadata=None, **more):
        """One request to its end."""
        request = self.open(body={"model": model, "prompt": prompt} | more, headers=headers, metadata=metadata)
        request.decide()
        if request.status is None:
            request.complete(usage)
        return request

    def close(self):
        self.channel.close()
