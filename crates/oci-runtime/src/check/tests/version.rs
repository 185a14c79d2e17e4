use serde_json::json;

use super::assert_all;

#[test]
fn version() {
    assert_all(&[
        (&[("/ociVersion", json!("1.0.2-dev"))], &[]),
        (&[("/ociVersion", json!("1.99.0+x"))], &[]),
        (
            &[("/ociVersion", json!(""))],
            &["E /ociVersion: is required"],
        ),
        (
            &[("/ociVersion", json!("2.0.0"))],
            &["E /ociVersion: version 2.0.0 of the specification is not supported, only 1.x is"],
        ),
        (
            &[("/ociVersion", json!("1.3"))],
            &["E /ociVersion: \"1.3\" is not a version of the form 1.2.3"],
        ),
        (
            &[("/ociVersion", json!("v1.3.0"))],
            &["E /ociVersion: \"v1.3.0\" is not a version of the form 1.2.3"],
        ),
    ]);
}
