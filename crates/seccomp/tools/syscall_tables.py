#!/usr/bin/env python3
"""Writes src/tables.rs: the system call numbers of every architecture the runtime-spec names.

The numbers are the kernel's. They are read from the PyPI package `system-calls` (MIT licence), which extracts
them from the kernel's own tables. That package leaves out calls the kernel has retired; profiles still name them,
so they are added from the headers in the crate `linux-raw-sys` (MIT, Apache-2.0), whose `src` folder is the argument.
Where both sources know a call they must agree. To regenerate, from the folder of the crate:

    python3 -m venv venv && venv/bin/pip install system-calls==7.2
    venv/bin/python tools/syscall_tables.py path/to/linux-raw-sys-0.12.1/src > src/tables.rs
"""

import importlib
import pathlib
import re
import sys

from system_calls.linux_version import linux_version

# Column of the table, module of system-calls, folder of linux-raw-sys.
COLUMNS = [
    ("X86_64", "x86_64", "x86_64"),
    ("X86", "i386", "x86"),
    ("X32", "x32", "x32"),
    ("AARCH64", "arm64", "aarch64"),
    ("ARM", "arm", "arm"),
    ("RISCV64", "riscv64", "riscv64"),
    ("LOONGARCH64", "loongarch64", "loongarch64"),
    ("S390X", "s390x", "s390x"),
    ("S390", "s390", None),
    ("PPC64", "powerpc64", "powerpc64"),
    ("PPC", "powerpc", "powerpc"),
    ("MIPS", "mipso32", "mips"),
    ("MIPS64", "mips64", "mips64"),
    ("MIPS64N32", "mips64n32", None),
    ("PARISC64", "parisc64", None),
    ("PARISC", "parisc", None),
    ("M68K", "m68k", "m68k"),
    ("SH", "sh", None),
]
X32_BIT = 0x4000_0000
ARM_PRIVATE = 0x000F_0000
ABSENT = 0xFFFF
HEADER_NOISE = re.compile(r"Linux|unused\d+|reserved\d+|OABI_SYSCALL_BASE|SYSCALL_(BASE|MASK)")


def headers(source, folder):
    """The `__NR_` constants of one architecture."""
    text = (pathlib.Path(source) / folder / "general.rs").read_text()
    found = re.findall(r"pub const __NR_(\w+): u32 = (\d+);", text)
    return {name: int(number) for name, number in found if not HEADER_NOISE.fullmatch(name)}


def calls(source, module, folder):
    """Every known call of one architecture."""
    table = dict(getattr(importlib.import_module(f"system_calls.tables.{module}"), f"syscalls_{module}"))
    for name, number in headers(source, folder).items() if folder else ():
        if table.setdefault(name, number) != number:
            raise SystemExit(f"{module}: {name} is {table[name]} and {number}")
    return table


def encode(column, number):
    """A number as 16 bits: x32 without its marker bit, ARM's private calls as 0xf000 and up."""
    if column == "X32":
        number -= X32_BIT
    if column == "ARM" and number >= ARM_PRIVATE:
        number = 0xF000 + (number - ARM_PRIVATE)
    elif number >= 0xF000:
        raise SystemExit(f"{column}: {number} does not fit")
    return number


def text(row):
    return ", ".join("ABSENT" if number == ABSENT else str(number) for number in row)


def main():
    rows = {}
    for index, (column, module, folder) in enumerate(COLUMNS):
        for name, number in calls(sys.argv[1], module, folder).items():
            rows.setdefault(name, [ABSENT] * len(COLUMNS))[index] = encode(column, number)

    print("//! System call numbers, written by `tools/syscall_tables.py`; do not edit.\n")
    print(f"/// The kernel release whose tables these are.\npub(crate) const LINUX_VERSION: &str = {linux_version!r};\n".replace("'", '"'))
    for index, (column, _, _) in enumerate(COLUMNS):
        print(f"pub(crate) const {column}: usize = {index};")
    print(f"\npub(crate) const COLUMNS: usize = {len(COLUMNS)};")
    print(f"/// Marks a call that an architecture does not have.\npub(crate) const ABSENT: u16 = {ABSENT:#x};\n")
    print("/// Sorted by name; one column an architecture.")
    print("#[rustfmt::skip]")
    print(f"pub(crate) static TABLE: [(&str, [u16; COLUMNS]); {len(rows)}] = [")
    texts = [f'("{name}", [{text(rows[name])}]),' for name in sorted(rows)]
    for at in range(0, len(texts), 2):
        print("    " + " ".join(texts[at : at + 2]))
    print("];")


if __name__ == "__main__":
    main()
