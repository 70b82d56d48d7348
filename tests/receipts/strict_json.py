"""JSON and the kinds of values of docs/receipts.md §1."""

import base64
import binascii
import calendar
import datetime
import json
import re

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1
FORBIDDEN_TEXT = re.compile("[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Malformed(Exception):
    """The bytes or the value do not have the form that the document asks for."""


def _integer(digits):
    if digits.startswith("-") or len(digits) > 16 or int(digits) > MAX_INTEGER:
        raise Malformed("number out of range")
    return int(digits)


def _refuse(_):
    raise Malformed("not an integer")


def _object(pairs):
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Malformed("a name stands twice")
    return fields


def _check_depth_and_text(value, depth):
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise Malformed("half a surrogate pair")
    elif isinstance(value, (list, dict)):
        if depth == MAX_DEPTH:
            raise Malformed("nested too deep")
        items = value if isinstance(value, list) else [*value.keys(), *value.values()]
        for item in items:
            _check_depth_and_text(item, depth + 1)


def parse(data):
    """The JSON value of `data` by the strict rules of §1."""
    if len(data) > MAX_BYTES:
        raise Malformed("too long")
    try:
        value = json.loads(
            data.decode("utf-8"),
            parse_int=_integer,
            parse_float=_refuse,
            parse_constant=_refuse,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON") from error
    _check_depth_and_text(value, 0)
    return value


def canonical(value):
    """The RFC 8785 form of a value that `parse` returned: names sorted by UTF-16 code units, integers, least escapes."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return b"{" + b",".join(canonical(name) + b":" + canonical(value[name]) for name in names) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    return json.dumps(value, ensure_ascii=False).encode()


# A form takes a value and returns what the verifier works with, or raises Malformed.


def string(value):
    if not isinstance(value, str):
        raise Malformed("not a string")
    return value


def text(value):
    if not 1 <= len(string(value).encode()) <= 1024 or FORBIDDEN_TEXT.search(value):
        raise Malformed("not a text")
    return value


def integer(value):
    if type(value) is not int:
        raise Malformed("not an integer")
    return value


def time(value):
    """POSIX seconds."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", string(value)):
        raise Malformed("not a time")
    try:
        moment = datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError as error:
        raise Malformed("no such time") from error
    if moment.year < 1970 or value[17:19] > "59":
        raise Malformed("no such time")
    return calendar.timegm(moment.timetuple())


def base64_bytes(length=None):
    def form(value):
        try:
            decoded = base64.b64decode(string(value).encode(), validate=True)
        except (ValueError, binascii.Error) as error:
            raise Malformed("not base64") from error
        if base64.b64encode(decoded).decode() != value or length not in (None, len(decoded)):
            raise Malformed("not base64")
        return decoded

    return form


def hexadecimal(length):
    def form(value):
        if not re.fullmatch("[0-9a-f]{%d}" % (2 * length), string(value)):
            raise Malformed("not hexadecimal")
        return bytes.fromhex(value)

    return form


def one_of(*choices):
    def form(value):
        if not isinstance(value, str) or value not in choices:
            raise Malformed("not one of the values")
        return value

    return form


def maybe(inner):
    return lambda value: None if value is None else inner(value)


def list_of(inner, least=0, most=None):
    def form(value):
        if not isinstance(value, list) or len(value) < least or (most is not None and len(value) > most):
            raise Malformed("not such a list")
        return [inner(item) for item in value]

    return form


def fields(**forms):
    """An object with exactly these fields."""

    def form(value):
        if not isinstance(value, dict) or set(value) != set(forms):
            raise Malformed("not exactly the fields")
        return {name: inner(value[name]) for name, inner in forms.items()}

    return form
