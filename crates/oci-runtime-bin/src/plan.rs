//! `plan`: the dry run.

use oci_runtime::Bundle;

use crate::call::Call;
use crate::failure::Failure;
use crate::stdout::print;

/// `plan [--bundle DIR] [--format text|json] [ID]`.
pub(crate) fn plan(call: &Call) -> Result<u8, Failure> {
    let format = call.arguments.choice("format", &["text", "json"])?;
    let bundle = Bundle::open(call.bundle())?;
    // The id is part of paths, and of nothing else that shows.
    let id = if call.arguments.rest.is_empty() {
        "ID".to_owned()
    } else {
        call.arguments.id()
    };
    let plan = oci_runtime::plan(
        &call.root,
        &id,
        &bundle,
        &bundle.spec()?,
        call.cgroup_manager,
    )?;
    let text = if format == "json" {
        serde_json::to_string_pretty(&plan.to_json())? + "\n"
    } else {
        plan.to_text()
    };
    print(&text)?;
    Ok(0)
}
