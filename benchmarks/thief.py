"""A thief in a process of its own, so that what it does takes no time from those who are measured.

`python -m benchmarks.thief HOST PORT` hands each transaction that comes as a line of base64 to that node, in order.
"""

import http.client
import json
import sys


def main(host: str, port: str) -> None:
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    for line in sys.stdin:
        request = {"jsonrpc": "2.0", "id": 1, "method": "sendrawtransaction", "params": [line.strip()]}
        connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
        reply = json.loads(connection.getresponse().read())
        if "error" in reply:
            raise SystemExit(f"the node refused a theft: {reply['error']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
