# SPDX-License-Identifier: GPL-2.0-or-later
"""SMBIOS tables: BIOS, system, board, and type 9 records for the slots."""

import re
import struct


def structure(kind, handle, body, strings=()):
    text = b"".join(s.encode() + b"\0" for s in strings) or b"\0"
    return struct.pack("<BBH", kind, 4 + len(body), handle) + body + text + b"\0"


def slot_text(text, number):
    text = re.sub(r"\s*\(.*\)\s*$", "", text).replace("slot", "SLOT")
    return f"{text}{number} PCI-E 3.0 X16"


def number_slots(host):
    """Root ports that name a slot and lead to a card get numbers 1.. in the order of the file."""
    count = 0
    for f in host.functions:
        if f.type == "root_port" and f.slot and f.children and not f.slot.startswith("onboard"):
            count += 1
            f.slot_number = count
    return count


def slot(handle, name, number, used, place):
    segment, bus, devfn = place
    body = struct.pack("<BBBBBHBBHBB", 1, 0xb1 if not used else 0xb6, 0x0d, 4 if used else 3, 4, number, 0x0c, 1,
                       segment, bus, devfn)
    return structure(9, handle, body, [name])


def tables(host):
    """(entry point, table) as the kernel shows them below sys/firmware/dmi/tables."""
    vendor, _, board = host.host.get("board", "Fake board").partition(" ")
    out = [structure(0, 0, struct.pack("<BBHBBQ", 1, 2, 0xf000, 3, 0xff, 0x8) + bytes(2), ["Fake", "1.0", "01/01/2024"]),
           structure(1, 1, struct.pack("<BBBB16sBBB", 1, 2, 0, 0, bytes(16), 6, 0, 0), [vendor, board or "board"]),
           structure(2, 2, struct.pack("<BBBB", 1, 2, 0, 0), [vendor, board or "board"])]
    count = 0
    for f in host.functions:
        if f.slot_number:
            count = max(count, f.slot_number)
            below = f.children[0]
            place = (below.domain & 0xffff, below.bus, below.dev << 3 | below.fn)
            out.append(slot(0x900 + f.slot_number, slot_text(f.slot, f.slot_number), f.slot_number, True, place))
    for extra in range(count + 1, count + 3):
        out.append(slot(0x900 + extra, slot_text("CPU1 slot", extra), extra, False, (0, 0xff, 0)))
    out.append(structure(127, 0xfe00, b""))
    table = b"".join(out)
    head = struct.pack("<5sBBBBBBBIQ", b"_SM3_", 0, 24, 3, 0, 0, 1, 0, len(table), 0x8c000000)
    head = head[:5] + bytes([-sum(head) & 0xff]) + head[6:]
    return head, table
