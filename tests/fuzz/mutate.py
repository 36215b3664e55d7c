"""Makes input malformed: bytes anyhow, texts by words, parsed YAML and JSON by keys and values."""

from __future__ import annotations

import copy
import json
import re
from random import Random
from typing import Any

import yaml

#: Values that no one means, and some that are only nearly right.
NASTY: tuple[Any, ...] = (
    *(0, -1, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63)),
    *(0.5, -0.0, 1e-320, 1e308, float("inf"), float("-inf"), float("nan")),
    *("", " ", "nan", "inf", "1e999", "-0", "0x10", "1_000", "1e3", "True", "null", "~", "=", "*"),
    *("a" * 5000, "\ud800", "\u202e\u0000", "é", "१२", "../../../../etc/passwd", "/dev/zero"),
    *("1/0", "0**-1", "9**9**9**9", "pe_dim", "2 if", "__import__('os')", "${oc.env:HOME}"),
    *(None, True, False, [], {}, [[]], [None], {"x": 1}, {1: 2}, [1, "a", {}], [0] * 300),
)
#: The same as words of a text or an argument.
WORDS = tuple(v if isinstance(v, str) else json.dumps(v) for v in NASTY if v != {1: 2}) + (
    *("-", "--", "=", ":", "{", "}", "[", "]", ",", "&a", "*a", "<<", "!!python/object:os.system"),
    *(
        "!!binary",
        "|",
        ">",
        "%",
        "#",
        "\t",
        "\r",
        "\n",
        "'",
        '"',
        "{{",
        "}}",
        "{%",
        "\x00",
        "\x1b[",
    ),
)
_TOKEN = re.compile(r"[A-Za-z_]\w*|[-+]?\d[\w.]*|\S")


def data(random: Random, content: bytes) -> bytes:
    """Damage bytes without knowing what they are."""
    result = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        at = random.randrange(len(result) + 1)
        to = min(len(result), at + random.choice((1, 8, 64, 512)))
        match random.randrange(7):
            case 0 | 1 if result:
                result[random.randrange(len(result))] ^= 1 << random.randrange(8)
            case 2:
                del result[at:]
            case 3:
                del result[at:to]
            case 4:
                result[at:at] = result[at:to] * random.choice((1, 1, 100))
            case 5:
                result[at:at] = random.randbytes(random.choice((1, 4, 100)))
            case _:
                result[at:at] = random.choice(WORDS).encode("utf-8", "surrogatepass")
    return bytes(result)


def text(random: Random, content: str) -> str:
    """Replace, drop, swap, repeat or misspell words of a text."""
    for _ in range(random.choice((1, 1, 2, 4))):
        words = list(_TOKEN.finditer(content))
        if not words:
            return random.choice(WORDS)
        one, other = random.choice(words), random.choice(words)
        new = {
            0: random.choice(WORDS),
            1: "",
            2: other[0],
            3: one[0] * random.choice((2, 3, 1000)),
            4: one[0][:-1] + random.choice("xX0_ "),
            5: "(" * random.choice((1, 5, 3000)) + one[0],
            6: random.choice("[{") * random.choice((1, 5, 2000)) + one[0],
        }[random.randrange(7)]
        content = content[: one.start()] + new + content[one.end() :]
    return content


def _places(tree: Any) -> list[tuple[Any, ...]]:
    """Return the path of everything below the top of a tree, which may be very deep."""
    found: list[tuple[Any, ...]] = []
    left: list[tuple[tuple[Any, ...], Any]] = [((), tree)]
    while left:
        path, value = left.pop()
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            found.append((*path, key))
            if isinstance(inner, (dict, list)):
                left.append((found[-1], inner))
    return found


def _deep(random: Random, value: Any) -> Any:
    for _ in range(random.choice((2, 20, 200))):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


def tree(random: Random, content: Any) -> Any:
    """Change keys and values of parsed YAML or JSON."""
    content = copy.deepcopy(content)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = _places(content) if isinstance(content, (dict, list)) else []
        if not places:
            return random.choice(NASTY)
        *way, last = random.choice(places)
        holder = content
        for key in way:
            holder = holder[key]
        other = content
        for key in random.choice(places):
            other = other[key]
        match random.randrange(9):
            case 0 | 1 | 2:
                holder[last] = random.choice(NASTY)
            case 3:
                del holder[last]
            case 4:
                holder[last] = copy.deepcopy(other)
            case 5 if isinstance(holder, dict):
                holder[str(last)[:-1] + random.choice("xs_")] = holder.pop(last)
            case 6 if isinstance(holder, dict):
                holder[random.choice(("name", "a b", "", "x" * 3000, 7, True, None))] = (
                    copy.deepcopy(other)
                )
            case 7:
                holder[last] = _deep(random, holder[last])
            case _ if isinstance(holder, list):
                holder.insert(0, copy.deepcopy(holder[last]))
            case _:
                number = holder[last]
                if isinstance(number, int | float):
                    holder[last] = number * random.choice((-1, 0, 0.5, 2, 3, 1e6, 1e300))
    return content


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dumped(content: Any, name: str) -> bytes:
    if name.endswith(".json"):
        return json.dumps(content, default=str, skipkeys=True).encode("utf-8", "surrogatepass")
    found: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return found.encode("utf-8", "surrogatepass")


def _lines(random: Random, content: bytes) -> bytes:
    """Change one line of JSON among several, or swap, drop or repeat lines."""
    lines = content.splitlines(keepends=True)
    at = random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            lines[at] = _dumped(tree(random, json.loads(lines[at])), ".json") + b"\n"
        case 1:
            del lines[at]
        case 2:
            lines.insert(random.randrange(len(lines)), lines[at])
        case _:
            random.shuffle(lines)
    return b"".join(lines)


def file(random: Random, name: str, content: bytes) -> bytes:
    """Change the content of a file, by its structure where it has one."""
    kind = random.random()
    try:
        if kind < 0.6 and name.endswith((".yaml", ".json")):
            parsed = json.loads(content) if name.endswith(".json") else yaml.safe_load(content)
            return _dumped(tree(random, parsed), name)
        if kind < 0.7 and name.endswith(".jsonl"):
            return _lines(random, content)
        if kind < 0.85:
            return text(random, content.decode()).encode("utf-8", "surrogatepass")
    except (ValueError, yaml.YAMLError, RecursionError):  # no longer, or never, what it is called
        pass
    return data(random, content)
