use serde_json::json;

use super::assert_all;

#[test]
fn hooks_are_absolute_and_take_a_time() {
    let hook = |hook: serde_json::Value| {
        [(
            "/hooks",
            json!({"createRuntime": [{"path": "/bin/true"}, hook]}),
        )]
    };
    assert_all(&[
        (
            &hook(json!({"path": "/bin/true", "timeout": 1, "env": ["A=", "B=c"]})),
            &[],
        ),
        (
            &hook(json!({"path": "bin/true"})),
            &["E /hooks/createRuntime/1/path: \"bin/true\" is not an absolute path"],
        ),
        (
            &hook(json!({"path": "/bin/true", "timeout": 0})),
            &["E /hooks/createRuntime/1/timeout: 0 s is no time that a hook could take"],
        ),
        (
            &hook(json!({"path": "/bin/true", "env": ["A"]})),
            &["E /hooks/createRuntime/1/env/0: \"A\" has no '='"],
        ),
    ]);
}
