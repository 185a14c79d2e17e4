#!/bin/sh
# Writes the table of call numbers again, as tools/syscall_tables.py says, and compares it with src/tables.rs.
# Takes python3, and the network for the package `system-calls`.
set -eu
cd "$(dirname "$0")/.."
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet system-calls==7.2
headers=$(cargo metadata --format-version 1 | python3 -c '
import json, pathlib, sys
packages = json.load(sys.stdin)["packages"]
found = [p["manifest_path"] for p in packages if p["name"] == "linux-raw-sys" and p["version"] == "0.12.1"]
print(pathlib.Path(found[0]).parent / "src")')
"$venv/bin/python" tools/syscall_tables.py "$headers" > "$venv/tables.rs"
cmp "$venv/tables.rs" src/tables.rs
echo "src/tables.rs is what the sources say"
