use serde_json::{Value, json};

use super::assert_all;

#[test]
fn id_mappings() {
    let user = |path: &str| ("/linux/namespaces/-", json!({"type": "user", "path": path}));
    let maps = |list: Value| {
        [
            user(""),
            ("/linux/uidMappings", list.clone()),
            ("/linux/gidMappings", list),
        ]
    };
    let only_uids = |list: Value| {
        [
            user("/u"),
            ("/linux/uidMappings", list),
            ("/linux/gidMappings", json!([{"size": 1}])),
        ]
    };
    let range = |container: u32, host: u32, size: u32| json!({"containerID": container, "hostID": host, "size": size});
    assert_all(&[
        (
            &maps(json!([range(0, 1000, 1), range(1, 100_000, 65536)])),
            &[],
        ),
        (&maps(json!([range(0, 0, u32::MAX)])), &[]),
        (&[user("/u")], &[]),
        (
            &[user("")],
            &[
                "E /linux/uidMappings: a new user namespace needs mappings",
                "E /linux/gidMappings: a new user namespace needs mappings",
            ],
        ),
        (
            &[("/linux/gidMappings", json!([range(0, 0, 1)]))],
            &["E /linux/gidMappings: id mappings need a user namespace"],
        ),
        (
            &only_uids(json!([
                range(0, 0, 10),
                range(20, 9, 1),
                range(5, 50, 1),
                range(30, 60, 0)
            ])),
            &[
                "E /linux/uidMappings/1: overlaps with mapping 0",
                "E /linux/uidMappings/2: overlaps with mapping 0",
                "E /linux/uidMappings/3/size: a mapping needs a size",
            ],
        ),
        (
            &only_uids(json!([range(1, 0, u32::MAX)])),
            &[
                "E /linux/uidMappings/0: a mapping of 4294967295 ids from 1 goes beyond the highest id (4294967294)",
            ],
        ),
        (
            &[
                user(""),
                ("/linux/uidMappings", json!([range(0, 9, 2)])),
                ("/linux/gidMappings", json!([range(0, 9, 2)])),
                (
                    "/process/user",
                    json!({"uid": 2, "gid": 1, "additionalGids": [0, 5]}),
                ),
            ],
            &[
                "E /process/user/uid: id 2 is not mapped into the user namespace",
                "E /process/user/additionalGids/1: id 5 is not mapped into the user namespace",
            ],
        ),
    ]);
    let many: Vec<Value> = (0..341).map(|id| range(id, id, 1)).collect();
    assert_all(&[(
        &only_uids(many.into()),
        &["E /linux/uidMappings: 341 mappings are more than the kernel takes (340)"],
    )]);
}
