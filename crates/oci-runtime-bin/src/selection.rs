//! Which containers a command is for: one by its id, or all that a pattern matches.

use regex_lite::Regex;

use crate::call::Call;
use crate::failure::Failure;

/// The id, or with `--regex` the ids of all containers that it matches anywhere; none is no error.
pub(crate) fn selected(call: &Call) -> Result<Vec<String>, Failure> {
    let word = call.arguments.id();
    if !call.arguments.switch("regex") {
        return Ok(vec![word]);
    }
    let pattern = Regex::new(&word).map_err(|error| Failure::Pattern {
        pattern: word.clone(),
        reason: error.to_string(),
    })?;
    let containers = oci_runtime::list(&call.root)?;
    let ids = containers.into_iter().map(|container| container.id);
    Ok(ids.filter(|id| pattern.is_match(id)).collect())
}

/// Does it for each, and tells the first failure once all have been tried.
pub(crate) fn for_each(
    ids: &[String],
    mut act: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    let mut result = Ok(0);
    for id in ids {
        if let Err(failure) = act(id)
            && result.is_ok()
        {
            result = Err(failure);
        }
    }
    result
}
