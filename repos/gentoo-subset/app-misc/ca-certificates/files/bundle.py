# SPDX-License-Identifier: BSD-3-Clause
"""Print, as PEM, the certificates of Mozilla's certdata.txt that servers are trusted by."""

import base64
import re
import sys
import textwrap


def objects(text):
    """Yield each object of the file as a mapping from attribute to value.

    An object begins at its CKA_CLASS. A value over several lines is bytes in octal.
    """
    current = {}
    lines = iter(text.splitlines())
    for line in lines:
        words = line.split(None, 2)
        if not words or not words[0].startswith("CKA_"):
            continue
        name, kind = words[0], words[1]
        if name == "CKA_CLASS" and current:
            yield current
            current = {}
        if kind == "MULTILINE_OCTAL":
            value = bytearray()
            for octal in lines:
                if octal.strip() == "END":
                    break
                value += bytes(int(digits, 8) for digits in re.findall(r"\\([0-7]{3})", octal))
            current[name] = bytes(value)
        else:
            current[name] = words[2] if len(words) > 2 else ""
    if current:
        yield current


def identity(item):
    return item["CKA_ISSUER"], item["CKA_SERIAL_NUMBER"]


def trusted(items):
    """Return the certificates that a trust object names a root for servers."""
    roots = {
        identity(item)
        for item in items
        if item["CKA_CLASS"].endswith("CKO_NSS_TRUST")
        and item.get("CKA_TRUST_SERVER_AUTH", "").endswith("CKT_NSS_TRUSTED_DELEGATOR")
    }
    certificates = [i for i in items if i["CKA_CLASS"].endswith("CKO_CERTIFICATE")]
    found = [i for i in certificates if identity(i) in roots]
    return sorted(found, key=lambda item: (item["CKA_LABEL"], item["CKA_VALUE"]))


def pem(item):
    label = item["CKA_LABEL"].strip('"').encode("ascii", "replace").decode()
    body = "\n".join(textwrap.wrap(base64.b64encode(item["CKA_VALUE"]).decode(), 64))
    return f"# {label}\n-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def main(path):
    with open(path, encoding="utf-8") as file:
        items = [item for item in objects(file.read()) if "CKA_CLASS" in item]
    certificates = trusted(items)
    if not certificates:
        sys.exit(f"{path}: no trusted certificates")
    sys.stdout.write("\n".join(map(pem, certificates)))


if __name__ == "__main__":
    main(sys.argv[1])
