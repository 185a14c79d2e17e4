//! `state` and `list`: what there is, by what the kernel says now.

use log::warn;

use crate::error::{Cause, Result};
use crate::state::{Container, State, StateRoot};

/// One container.
///
/// # Errors
/// There is no such container.
pub fn state(root: &StateRoot, id: &str) -> Result<Container> {
    let directory = root.open(id)?;
    match directory.load::<State>()? {
        Some(state) => state.look(&directory),
        None => Err(Cause::NotFound { id: id.to_owned() }.into()),
    }
}

/// All containers, sorted by id. One whose state is being written, was removed meanwhile, or is damaged is left out; damage is
/// logged.
///
/// # Errors
/// The state root cannot be read.
pub fn list(root: &StateRoot) -> Result<Vec<Container>> {
    let look = |id: String| {
        let directory = root.open(&id).ok()?;
        let state = directory.load::<State>().transpose()?;
        match state.and_then(|state| state.look(&directory)) {
            Ok(container) => Some(container),
            Err(error) => {
                warn!("{id}: {error}");
                None
            }
        }
    };
    Ok(root.ids()?.into_iter().filter_map(look).collect())
}
