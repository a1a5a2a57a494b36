"""What the collector load_average makes of /proc/loadavg. No import from the host here, so that any Python can test it."""

NAME = "load_average"
PATH = "/proc/loadavg"
WINDOWS = ["1m", "5m", "15m"]


def parse(text: str) -> dict[str, float]:
    """The number of each window. Raises ValueError where the text makes no sense."""
    words = text.split(" ")
    try:
        return {window: float(words[index]) for index, window in enumerate(WINDOWS)}
    except (IndexError, ValueError):
        raise ValueError(f"{PATH}: expected three numbers, found {text!r}")
