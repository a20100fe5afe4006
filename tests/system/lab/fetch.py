"""fetch.py URL INTERVAL_MS LIMIT_S: fetches a page at an interval, one JSON line for each try.

The page's first line that begins with "node:" names who served it.
"""
import json
import sys
import time
import urllib.request

url, interval_s, limit_s = sys.argv[1], float(sys.argv[2]) / 1000, float(sys.argv[3])
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
end = time.monotonic() + limit_s
while time.monotonic() < end:
    began = time.monotonic()
    line = {"at_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME), "node": None, "error": None}
    try:
        with opener.open(url, timeout=0.25) as answer:
            text = answer.read(65536).decode("utf-8", "replace")
        line["node"] = next(t[5:].strip() for t in text.splitlines() if t.startswith("node:"))
    except (OSError, StopIteration, ValueError) as error:
        line["error"] = str(error) or type(error).__name__
    print(json.dumps(line), flush=True)
    time.sleep(max(0.0, interval_s - (time.monotonic() - began)))
