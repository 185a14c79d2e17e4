//! What the program must be, read from the bytes that the library embeds.

use oci_runtime_init::ELF;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const SHT_RELA: u32 = 4;
const SHT_REL: u32 = 9;

fn number(at: usize, size: usize) -> u64 {
    ELF[at..at + size]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Type and flags of each program header (elf(5), Elf64_Phdr).
fn segments() -> Vec<(u32, u32)> {
    let (table, size, count) = (
        number(32, 8) as usize,
        number(54, 2) as usize,
        number(56, 2) as usize,
    );
    (0..count)
        .map(|index| table + index * size)
        .map(|at| (number(at, 4) as u32, number(at + 4, 4) as u32))
        .collect()
}

/// Type of each section header (Elf64_Shdr).
fn sections() -> Vec<u32> {
    let (table, size, count) = (
        number(40, 8) as usize,
        number(58, 2) as usize,
        number(60, 2) as usize,
    );
    (0..count)
        .map(|index| number(table + index * size + 4, 4) as u32)
        .collect()
}

#[test]
fn it_is_a_small_static_executable() {
    const ET_EXEC: u64 = 2;
    assert_eq!(&ELF[..5], b"\x7fELF\x02");
    assert_eq!(number(16, 2), ET_EXEC, "its address is fixed");
    assert!(ELF.len() < 64 * 1024, "{} bytes", ELF.len());
}

#[test]
fn nobody_has_to_load_or_relocate_it() {
    let kinds: Vec<u32> = segments().into_iter().map(|(kind, _)| kind).collect();
    assert!(kinds.contains(&PT_LOAD));
    assert!(!kinds.contains(&PT_INTERP), "an interpreter");
    assert!(!kinds.contains(&PT_DYNAMIC), "a dynamic section");
    assert!(
        !sections()
            .iter()
            .any(|kind| matches!(*kind, SHT_RELA | SHT_REL)),
        "relocations"
    );
}

#[test]
fn nothing_is_writable_and_executable() {
    const PT_GNU_STACK: u32 = 0x6474_e551;
    for (kind, flags) in segments() {
        assert!(
            flags & (PF_W | PF_X) != PF_W | PF_X,
            "segment of type {kind:#x}"
        );
    }
    assert!(
        segments()
            .iter()
            .any(|(kind, flags)| *kind == PT_GNU_STACK && flags & PF_X == 0),
        "the stack"
    );
}

/// Run by hand it says what it is; the twin of every container test, in which it does its work.
#[test]
fn alone_it_refuses_with_a_sentence() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("oci-init-{}", std::process::id()));
    std::fs::write(&path, ELF).expect("it can be written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700))
        .expect("it can be made executable");
    let output = std::process::Command::new(&path).output();
    std::fs::remove_file(&path).expect("it can be removed");
    let output = output.expect("it can be executed");
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("sets a container up"));
}
