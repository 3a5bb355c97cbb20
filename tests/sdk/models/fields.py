"""Compares the list of all fields that a request to a model may have with the types of the installed SDKs.

Usage: fields.py fields. It prints what is new, gone or changed, and nothing where there is no difference; with --write it
writes the list anew, and keeps what each field is classified as.
"""

import importlib
import json
import sys
import types
from typing import Literal, Union, get_args, get_origin, get_type_hints

import typing_extensions

ROOTS = {
    "chat": ("openai.types.chat.completion_create_params", "CompletionCreateParams"),
    "responses": ("openai.types.responses.response_create_params", "ResponseCreateParams"),
    "messages": ("anthropic.types.message_create_params", "MessageCreateParams"),
    "messages.beta": ("anthropic.types.beta.message_create_params", "MessageCreateParams"),
}


def shape(hint, found):
    """Takes down what a value may be: objects by name, texts, other scalars, and free objects."""
    origin, inside = get_origin(hint), get_args(hint)
    if typing_extensions.is_typeddict(hint):
        found.setdefault("objects", []).append(hint)
    elif origin is Literal:
        found.setdefault("words", []).extend(inside)
    elif origin in (Union, types.UnionType, typing_extensions.Required, typing_extensions.NotRequired):
        for part in inside:
            shape(part, found)
    elif origin is typing_extensions.Annotated:
        shape(inside[0], found)
    elif origin is dict:
        if inside[1] is object:
            found["free"] = True
        else:
            found["map"] = True
            shape(inside[1], found)
    elif inside:
        found["list"] = True
        for part in inside:
            shape(part, found)
    elif hint is object:
        found["free"] = True
    elif hint is not type(None):
        found.setdefault("scalars", []).append(getattr(hint, "__name__", str(hint)))


def listed(module, root):
    """Every type that is reached from the root, by a name that no other has."""
    roots = [
        getattr(importlib.import_module(module), root + suffix) for suffix in ("NonStreaming", "Streaming")
    ]
    names, described, waiting = {}, {}, list(roots)

    def name(kind):
        if kind not in names:
            plain = kind.__name__
            taken = plain in names.values()
            names[kind] = f"{kind.__module__.rsplit('.', 1)[-1]}.{plain}" if taken else plain
            waiting.append(kind)
        return names[kind]

    for kind in roots:
        names[kind] = "Request"
    while waiting:
        kind = waiting.pop(0)
        members = described.setdefault(names[kind], {})
        for member, hint in get_type_hints(kind).items():
            found = {}
            shape(hint, found)
            found["objects"] = [name(one) for one in dict.fromkeys(found.get("objects", []))]
            known = members.setdefault(member, {})
            for key, value in found.items():
                if isinstance(value, list):
                    known[key] = list(dict.fromkeys(known.get(key, []) + value))
                else:
                    known[key] = value
            # A list of models or dates is long and of no interest: any text goes.
            if "str" in known.get("scalars", []):
                known.pop("words", None)
            if not known.get("objects"):
                known.pop("objects", None)
    return described


def main():
    found = {
        f"{api} {kind}.{member}": json.dumps(what, sort_keys=True)
        for api, root in ROOTS.items()
        for kind, members in listed(*root).items()
        for member, what in members.items()
    }
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [line.rstrip("\n").split(" ", 3) for line in file]
    known = {f"{api} {field}": (kind, what) for api, field, kind, what in rows}
    if "--write" in sys.argv:
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            for field, what in found.items():
                print(field, known.get(field, ("unclassified", ""))[0], what, file=file)
    for field in sorted(found.keys() - known.keys()):
        print(f"new: {field} {found[field]}")
    for field in sorted(known.keys() - found.keys()):
        print(f"gone: {field}")
    for field in sorted(field for field in found.keys() & known.keys() if found[field] != known[field][1]):
        print(f"changed: {field} {known[field][1]} -> {found[field]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
