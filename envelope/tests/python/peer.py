"""The other side of tests/python.rs: reads one JSON request from standard input, answers one JSON object."""

import hashlib
import json
import sys

import cryptography
from cryptography.cobblestone import Cobblestone256Encryptor

import lethe_format

assert int(cryptography.__version__.split(".")[0]) >= 50, cryptography.__version__


def read(request):
    place = dict(request["place"])
    for name in ("kek", "kek_id", "tenant", "customer_key"):
        if name in place:  # an empty customer key is none
            place[name] = bytes.fromhex(place[name])
    with open(request["body_file"], "rb") as body:
        answer = lethe_format.read_object(
            place, request["header"], bytes.fromhex(request["metadata"]), body.read()
        )
    plaintext = answer.pop("plaintext")
    return {**answer, "plaintext_sha256": hashlib.sha256(plaintext).hexdigest()}


def seal(request):
    encryptor = Cobblestone256Encryptor(
        bytes.fromhex(request["key"]), bytes.fromhex(request["context"])
    )
    plaintext = bytes(index * 7 % 256 for index in range(request["plaintext_bytes"]))
    sealed = bytes(encryptor.update(plaintext)) + bytes(encryptor.finalize())
    return {"sealed": sealed.hex()}


request = json.load(sys.stdin)
json.dump({"read": read, "seal": seal}[request["do"]](request), sys.stdout)
