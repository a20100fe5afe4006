"""advertisements.py INTERFACE ADDRESS LIMIT_S: tells every neighbour advertisement about an IPv6 address, one JSON
line each. It reads frames, not the kernel's neighbour table: what is told here was on the wire."""
import json
import select
import socket
import sys
import time

ETH_P_IPV6 = 0x86DD
ICMPV6, NEIGHBOUR_ADVERTISEMENT = 58, 136
SOLICITED, OVERRIDE = 0x40, 0x20

interface, target, limit_s = sys.argv[1], socket.inet_pton(socket.AF_INET6, sys.argv[2]), float(sys.argv[3])
frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IPV6))
frames.bind((interface, ETH_P_IPV6))
print(json.dumps({"ready": True}), flush=True)
end = time.monotonic() + limit_s
while (rest := end - time.monotonic()) > 0:
    if not select.select([frames], [], [], rest)[0]:
        break
    frame = frames.recv(2048)
    packet, message = frame[14:54], frame[54:]
    if len(message) < 24 or packet[6] != ICMPV6 or message[0] != NEIGHBOUR_ADVERTISEMENT or message[8:24] != target:
        continue
    print(json.dumps({"at_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME),
                      "mac": frame[6:12].hex(":"),
                      "target_mac": message[26:32].hex(":") if message[24:26] == b"\x02\x01" else None,
                      "destination": socket.inet_ntop(socket.AF_INET6, packet[24:40]),
                      "override": bool(message[4] & OVERRIDE),
                      "solicited": bool(message[4] & SOLICITED)}), flush=True)
