//! Reading files that need not be there: not every kernel has every file of a controller.

use crate::error::{Error, Result};
use crate::files::read_records;
use std::path::Path;

/// The text of `file` in `dir`; none where there is no such file, or where the kernel has it switched off.
pub(super) fn optional(dir: &Path, file: &str) -> Result<Option<String>> {
    match read_records(&dir.join(file)) {
        Ok(text) => Ok(Some(text)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

fn is_absent(error: &Error) -> bool {
    matches!(
        error.errno(),
        Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP)
    )
}

/// What `parse` makes of the text of `file`, its default without the file.
pub(super) fn parsed<T: Default>(
    dir: &Path,
    file: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T> {
    let Some(text) = optional(dir, file)? else {
        return Ok(T::default());
    };
    parse(&text).ok_or_else(|| Error::Format {
        path: dir.join(file),
        text: text.trim_end().to_owned(),
    })
}

/// The page sizes that `dir` has files `hugetlb.SIZE.SUFFIX` for.
pub(super) fn page_sizes(dir: &Path, suffix: &str) -> Result<Vec<String>> {
    let fail = |e: std::io::Error| Error::io("readdir", dir, &e);
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let size = name
            .to_str()
            .and_then(|name| name.strip_prefix("hugetlb."))
            .and_then(|name| name.strip_suffix(suffix))
            .filter(|size| !size.contains('.'));
        sizes.extend(size.map(str::to_owned));
    }
    sizes.sort_unstable();
    Ok(sizes)
}
