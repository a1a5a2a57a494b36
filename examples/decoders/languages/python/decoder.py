"""The decoder tcp_state: 4 bytes, a TCP state of the kernel, become its name."""

import json

NAME = "tcp_state"
SUMMARY = "4 bytes, a TCP state: its name"
SCHEMA = '{"type": "object", "properties": {"lowercase": {"type": "boolean"}}}'

# include/net/tcp_states.h, from 1 on.
STATES = [
    "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
    "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV",
]


def parse(text: str) -> dict:
    """The options. Raises ValueError with a sentence for the operator."""
    options = json.loads(text or "{}")
    for key, value in options.items():
        if key != "lowercase":
            raise ValueError(f"{NAME} has no option `{key}`; it has: lowercase")
        if not isinstance(value, bool):
            raise ValueError("`lowercase` is true or false")
    return options


def text(cell: bytes, options: dict) -> str:
    """The text of one cell. Raises ValueError where there is none."""
    if len(cell) != 4:
        raise ValueError(f"{NAME} wants 4 bytes, got {len(cell)}")
    state = int.from_bytes(cell, "little")
    name = STATES[state - 1] if 1 <= state <= len(STATES) else f"UNKNOWN:{state}"
    return name.lower() if options.get("lowercase") else name


def decode(data: bytes, ends: list[int], options: dict) -> tuple[bytes, list[int], list[tuple[int, str]]]:
    """A column: the texts' bytes, where each ends, and the rows without one."""
    out, out_ends, errors = bytearray(), [], []
    start = 0
    for row, end in enumerate(ends):
        try:
            out += text(data[start:end], options).encode()
        except ValueError as error:
            errors.append((row, str(error)))
        out_ends.append(len(out))
        start = end
    return bytes(out), out_ends, errors
