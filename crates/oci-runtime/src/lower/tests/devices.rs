//! The links in /dev.

use super::*;

#[test]
fn a_link_to_the_core_only_where_there_is_one() {
    let json = example();
    let spec = spec::parse(json.as_bytes()).expect("it parses");
    for (kcore, links) in [(true, 1), (false, 0)] {
        let host = Host {
            kcore,
            ..host(HYBRID)
        };
        let plan = create(&spec, &host, request(true))
            .expect("it lowers")
            .plan
            .to_text();
        assert_eq!(plan.matches("Symlink path=dev/core").count(), links);
        assert_eq!(plan.matches("Symlink path=dev/fd ").count(), 1);
    }
}
