//! `plan`: the dry run.

use std::path::Path;

use crate::create::bundle;
use crate::failure::Failure;
use crate::{Call, print};

/// `plan [--bundle DIR] [--format text|json] [ID]`.
pub(crate) fn plan(call: &Call) -> Result<u8, Failure> {
    let format = call.arguments.choice("format", &["text", "json"])?;
    let bundle: &Path = bundle(&call.arguments);
    // The id is part of the cgroup's path, and of nothing else that shows.
    let id = if call.arguments.rest.is_empty() {
        "ID".to_owned()
    } else {
        call.arguments.id()
    };
    let plan = oci_runtime::plan(&id, bundle)?;
    let text = if format == "json" {
        serde_json::to_string_pretty(&plan.to_json())? + "\n"
    } else {
        plan.to_text()
    };
    print(&text)?;
    Ok(0)
}
