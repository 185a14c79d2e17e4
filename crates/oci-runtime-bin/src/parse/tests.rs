use super::*;
use crate::flags::GLOBALS;
use crate::table::VERBS;

fn words(list: &[&str]) -> Vec<OsString> {
    list.iter().map(OsString::from).collect()
}

fn verb(name: &str) -> &'static crate::table::Verb {
    VERBS.iter().find(|verb| verb.name == name).unwrap()
}

fn parse_verb(name: &str, list: &[&str]) -> Result<Arguments, Misuse> {
    parse(verb(name).flags, verb(name).stops, words(list))
}

#[test]
fn every_flag_of_every_verb_can_be_spelled_in_every_way() {
    let tables = VERBS.iter().map(|verb| verb.flags).chain([GLOBALS]);
    for flag in tables.flatten() {
        for name in [flag.name, flag.short]
            .into_iter()
            .filter(|name| !name.is_empty())
        {
            for dashes in ["-", "--"] {
                check(flag, &format!("{dashes}{name}"));
            }
        }
    }
}

fn check(flag: &'static Flag, spelled: &str) {
    let flags = std::slice::from_ref(flag);
    let attached = format!("{spelled}=false");
    let (lists, expected): (&[&[&str]], &str) = if flag.value.is_empty() {
        (&[&[spelled, "x"]], "true")
    } else {
        (&[&[spelled, "false", "x"], &[&attached, "x"]], "false")
    };
    for list in lists {
        let arguments = parse(flags, true, words(list)).unwrap();
        assert_eq!(arguments.flags, [(flag.name, expected.into())], "{list:?}");
        assert_eq!(arguments.rest, ["x"], "{list:?}");
    }
    if flag.value.is_empty() {
        let off = parse(flags, true, words(&[&attached])).unwrap();
        assert!(!off.switch(flag.name) && off.given(flag.name), "{attached}");
        let nonsense = format!("{spelled}=maybe");
        assert!(matches!(
            parse(flags, true, words(&[&nonsense])),
            Err(Misuse::BadValue { .. })
        ));
    } else {
        assert_eq!(
            parse(flags, true, words(&[spelled])),
            Err(Misuse::NeedsValue { flag: flag.name })
        );
    }
}

#[test]
fn names_are_unique_and_letters_too() {
    for flags in VERBS.iter().map(|verb| verb.flags).chain([GLOBALS]) {
        let mut names: Vec<&str> = flags
            .iter()
            .flat_map(|flag| [flag.name, flag.short])
            .collect();
        names.retain(|name| !name.is_empty());
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

#[test]
fn flags_end_at_the_command_of_exec() {
    let arguments = parse_verb(
        "exec",
        &["-t", "--env", "A=B=C", "id", "ls", "-l", "--tty=false"],
    )
    .unwrap();
    assert!(arguments.switch("tty"));
    assert_eq!(arguments.all("env").collect::<Vec<_>>(), ["A=B=C"]);
    assert_eq!(arguments.rest, ["id", "ls", "-l", "--tty=false"]);
}

#[test]
fn flags_may_follow_the_id_where_no_command_does() {
    let arguments = parse_verb("delete", &["id", "--force"]).unwrap();
    assert!(arguments.switch("force"));
    assert_eq!(arguments.rest, ["id"]);
}

#[test]
fn two_dashes_end_the_flags_and_one_is_a_word() {
    let arguments = parse_verb("delete", &["--", "--force"]).unwrap();
    assert_eq!(arguments.rest, ["--force"]);
    assert_eq!(parse_verb("delete", &["-"]).unwrap().rest, ["-"]);
}

#[test]
fn what_the_table_does_not_have_is_an_error() {
    let unknown = |flag: &str| {
        Err(Misuse::UnknownFlag {
            flag: flag.to_owned(),
        })
    };
    assert_eq!(parse_verb("state", &["--nope", "id"]), unknown("nope"));
    assert_eq!(parse_verb("state", &["---", "id"]), unknown("-"));
    assert_eq!(parse_verb("state", &["--=x", "id"]), unknown("=x"));
    assert_eq!(parse_verb("list", &["-qf"]), unknown("qf"));
}

#[test]
fn the_last_value_counts_and_an_empty_one_is_none() {
    let arguments = parse_verb(
        "create",
        &["-b", "one", "--bundle=two", "--pid-file", "", "id"],
    )
    .unwrap();
    assert_eq!(arguments.text("bundle").unwrap(), "two");
    assert_eq!(arguments.text("pid-file"), None);
}

#[test]
fn help_is_known_everywhere() {
    for spelled in ["-h", "--help", "-help"] {
        assert!(parse_verb("exec", &[spelled]).unwrap().help);
        assert!(parse(GLOBALS, true, words(&[spelled])).unwrap().help);
    }
    assert!(!parse_verb("exec", &["id", "ls", "--help"]).unwrap().help);
}

#[test]
fn the_number_of_arguments_is_judged() {
    let count =
        |name: &str, list: &[&str]| verb(name).count(&parse_verb(name, list).unwrap()).is_ok();
    assert!(count("exec", &["id", "ls"]) && count("exec", &["-p", "file", "id"]));
    assert!(!count("exec", &["id"]) && !count("exec", &["-p", "file"]));
    assert!(
        count("kill", &["id"]) && count("kill", &["id", "9"]) && !count("kill", &["id", "9", "x"])
    );
    assert!(count("list", &[]) && !count("list", &["x"]));
    assert!(!count("create", &["id", "--bundle", "b"]));
}

#[test]
fn a_choice_names_what_can_be_chosen() {
    let arguments = parse_verb("list", &["-f", "yaml"]).unwrap();
    let message = arguments
        .choice("format", &["table", "json"])
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "invalid value \"yaml\" for flag --format: it must be table or json"
    );
}
