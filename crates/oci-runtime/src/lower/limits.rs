//! What a plan cannot hold.

use crate::error::{Error, LowerProblem, Result};
use crate::plan::Plan;

/// Refuses a plan that is too long.
pub(super) fn check(plan: &Plan) -> Result<()> {
    if plan.fits() {
        Ok(())
    } else {
        Err(Error::lower("", LowerProblem::TooManySteps))
    }
}
