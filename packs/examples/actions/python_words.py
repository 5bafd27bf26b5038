"""Word statistics: a JSON object on standard input, a JSON object on standard output."""

import json
import re
import sys
from collections import Counter

DEFAULT_TEXT = "the quick brown fox jumps over the lazy dog"


def statistics(text):
    """What there is to say about the words of a text, upper and lower case being the same."""
    words = re.findall(r"\w+", text.casefold())
    counts = Counter(words)
    return {
        "words": len(words),
        "distinct": len(counts),
        "longest": max(words, key=len, default=""),
        "most_common": counts.most_common(3),
    }


def main():
    # The bytes themselves: JSON is UTF-8 whatever the locale of the container says.
    parameters = json.load(sys.stdin.buffer)
    name = parameters.get("name") or "world"
    text = parameters.get("text", DEFAULT_TEXT)

    result = {"greeting": f"Hello, {name}!"}
    result.update(statistics(text))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
