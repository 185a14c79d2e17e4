//! Which flag a failure comes from. A value that is no good is mostly found out where nobody knows of flags: by the library, which
//! names a file or a property. If the command line has said that one, its flag is told too.

use std::fs;
use std::path::{Path, PathBuf};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::flag::Flag;

/// Pointers of properties, and the flags that set them.
pub(crate) type Properties = [(&'static str, &'static str)];

/// For a failure with a file that one of `flags` names.
pub(crate) fn file(failure: Failure, flags: &'static [Flag], arguments: &Arguments) -> Failure {
    let Some(path) = path_of(&failure).map(Path::to_owned) else {
        return failure;
    };
    let named = flags.iter().map(|flag| flag.name).find(|flag| {
        let value = arguments.text(flag).map(Path::new);
        value.is_some_and(|value| is_same(flag, value, &path))
    });
    match named {
        Some(flag) => value(failure, flag, arguments),
        None => failure,
    }
}

/// For a failure with a property that one of the flags sets. Those of a process alone count from there.
pub(crate) fn property(failure: Failure, table: &Properties, arguments: &Arguments) -> Failure {
    let Failure::Runtime(error) = &failure else {
        return failure;
    };
    let whole =
        |pointer: String| match pointer.starts_with("/process") || pointer.starts_with("/linux") {
            true => pointer,
            false => format!("/process{pointer}"),
        };
    let pointers: Vec<String> = error.pointers().into_iter().map(whole).collect();
    let flag = table.iter().find(|(place, flag)| {
        arguments.given(flag) && pointers.iter().any(|pointer| pointer.starts_with(place))
    });
    match flag {
        Some((_, flag)) => value(failure, flag, arguments),
        None => failure,
    }
}

/// For a failure that can only come from `flag`, if it was given.
pub(crate) fn value(failure: Failure, flag: &'static str, arguments: &Arguments) -> Failure {
    if !arguments.given(flag) {
        return failure;
    }
    let last = arguments.text(flag).unwrap_or_default();
    Failure::Value {
        flag,
        value: last.to_string_lossy().into_owned(),
        failure: Box::new(failure),
    }
}

fn path_of(failure: &Failure) -> Option<&Path> {
    match failure {
        Failure::File { path, .. } | Failure::Parse { path, .. } => Some(path),
        Failure::Runtime(error) => error.path(),
        _ => None,
    }
}

/// A bundle is as good as its configuration, if it has one; what that says is another matter.
fn is_same(flag: &str, value: &Path, path: &Path) -> bool {
    let absolute: Option<PathBuf> = std::path::absolute(value).ok();
    let lacks_config = || {
        let bundle = fs::canonicalize(value).unwrap_or_else(|_| value.to_owned());
        path == bundle.join("config.json") && !path.exists()
    };
    path == value || absolute.as_deref() == Some(path) || (flag == "bundle" && lacks_config())
}
