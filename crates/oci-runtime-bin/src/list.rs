//! `list`.

use oci_runtime::Container;

use crate::call::Call;
use crate::failure::Failure;
use crate::passwd::Passwd;
use crate::stdout::print;

/// `list [--quiet] [--format table|json]`.
pub(crate) fn list(call: &Call) -> Result<u8, Failure> {
    let format = call.arguments.choice("format", &["table", "json"])?;
    let mut containers = oci_runtime::list(&call.root)?;
    if call.arguments.switch("quiet") {
        print(
            &containers
                .iter()
                .map(|container| format!("{}\n", container.id))
                .collect::<String>(),
        )?;
        return Ok(0);
    }
    let passwd = if containers.is_empty() {
        Passwd::default()
    } else {
        Passwd::read()
    };
    for container in &mut containers {
        container.owner = passwd.name(container.owner_uid);
    }
    print(&if format == "json" {
        json(&containers)?
    } else {
        table(&containers)
    })?;
    Ok(0)
}

/// One line; `null` and not an empty list for none, as runc has it.
fn json(containers: &[Container]) -> Result<String, Failure> {
    Ok(if containers.is_empty() {
        "null\n".to_owned()
    } else {
        serde_json::to_string(containers)? + "\n"
    })
}

fn table(containers: &[Container]) -> String {
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = containers.iter().map(|container| {
        [
            container.id.clone(),
            container.pid.to_string(),
            container.status.as_str().to_owned(),
            container.bundle.display().to_string(),
            container.created.clone(),
            container.owner.clone(),
        ]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let widths: [usize; 6] = std::array::from_fn(|column| {
        let widest = rows
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0);
        (widest + 3).max(12)
    });
    rows.iter().map(|row| line(row, &widths)).collect()
}

/// All but the last column are padded.
fn line(row: &[String; 6], widths: &[usize; 6]) -> String {
    let [columns @ .., last] = row;
    let padded: String = columns
        .iter()
        .zip(widths)
        .map(|(text, width)| format!("{text:<width$}", width = *width))
        .collect();
    format!("{padded}{last}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_its_header_and_an_empty_list_is_null() {
        assert_eq!(
            table(&[]),
            "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
        );
        assert_eq!(json(&[]).unwrap(), "null\n");
    }

    #[test]
    fn a_wide_value_widens_its_column() {
        let container = Container {
            oci_version: "1.3.0".into(),
            id: "a-name-of-eighteen".into(),
            pid: 7,
            status: oci_runtime::Status::Running,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: "2026-01-02T03:04:05.000000006Z".into(),
            annotations: Default::default(),
            owner: "root".into(),
            owner_uid: 0,
        };
        let text = table(std::slice::from_ref(&container));
        assert_eq!(
            text,
            "ID                   PID         STATUS      BUNDLE      CREATED                          OWNER\n\
             a-name-of-eighteen   7           running     /b          2026-01-02T03:04:05.000000006Z   root\n"
        );
        assert_eq!(
            json(&[container]).unwrap().trim_end_matches('\n'),
            r#"[{"ociVersion":"1.3.0","id":"a-name-of-eighteen","pid":7,"status":"running","bundle":"/b","rootfs":"/b/rootfs","created":"2026-01-02T03:04:05.000000006Z","owner":"root"}]"#
        );
    }
}
