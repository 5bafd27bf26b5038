"""Word statistics: a JSON object on standard input, a JSON object on standard output."""

import json
import re
import sys
from collections import Counter

DEFAULT_TEXT = "the quick brown fox jumps over the lazy dog"


def statistics(text):
    """What there is to say about the words of a text, upper and lower case being the same."""
    words = re.findall(r"\w+", text.lower(), re.UNICODE)
    counts = Counter(words)
    return {
        "words": len(words),
        "distinct": len(counts),
        "longest": max(words, key=len) if words else "",
        "most_common": counts.most_common(3),
    }


def main():
    # The bytes themselves: JSON is UTF-8 whatever the locale of the container says.
    # Python 2 has them on standard input itself.
    parameters = json.loads(getattr(sys.stdin, "buffer", sys.stdin).read().decode("utf-8"))
    name = parameters.get("name") or "world"
    text = parameters.get("text", DEFAULT_TEXT)

    result = {"greeting": u"Hello, {}!".format(name)}
    result.update(statistics(text))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
