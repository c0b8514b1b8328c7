//! The language against upstream's facts, against its own canonical form, and against hostile input.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Selector {
    Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn labels<'a>(pairs: &[(&'a str, &'a str)]) -> BTreeMap<&'a str, &'a str> {
    pairs.iter().copied().collect()
}

#[test]
fn matches_as_documented() {
    let check = |text: &str, pairs: &[(&str, &str)], expected: bool| {
        assert_eq!(
            parse(text).matches(&labels(pairs)),
            expected,
            "{text} on {pairs:?}"
        );
        assert_eq!(
            parse(parse(text).canonical()).matches(&labels(pairs)),
            expected,
            "canonical of {text} on {pairs:?}"
        );
    };
    for text in [
        "",
        "  ",
        "\t",
        "all()",
        " all( ) ",
        "global()",
        "( all() )",
        "!!all()",
    ] {
        check(text, &[], true);
        check(text, &[("a", "b")], true);
    }
    check("a == 'b'", &[("a", "b"), ("c", "d")], true);
    check("a == 'b'", &[("a", "c")], false);
    check("a == 'b'", &[], false);
    check("a == ''", &[("a", "")], true);
    check("a == ''", &[], false);
    check("a != 'b'", &[], true);
    check("a != 'b'", &[("a", "b")], false);
    check("a in {'x', 'y'}", &[("a", "y")], true);
    check("a in {'x', 'y',}", &[("a", "z")], false);
    check("a in {}", &[("a", "")], false);
    check("a not in {}", &[], true);
    check("a notin {'x'}", &[], true);
    check("a not  in {'x'}", &[("a", "x")], false);
    check("a contains 'b'", &[("a", "abc")], true);
    check("a contains ''", &[("a", "")], true);
    check("a contains ''", &[], false);
    check("a starts with 'b'", &[("a", "abc")], false);
    check("a startswith 'a'", &[("a", "abc")], true);
    check("a ends\twith 'bc'", &[("a", "abc")], true);
    check("has(a)", &[("a", "")], true);
    check("!has(a)", &[("a", "")], false);
    check("! a == 'b'", &[("a", "c")], true);
    check("a == 'b' || a == 'c' && x == 'y'", &[("a", "b")], true);
    check("(a == 'b' || a == 'c') && x == 'y'", &[("a", "b")], false);
    check("!(a == 'b') && !has(c)", &[("a", "c")], true);
    check(
        "in in {'in'} && not not in {'in'} && has == 'all'",
        &[("in", "in"), ("has", "all")],
        true,
    );
    check(
        "all == 'x' && contains contains 'c'",
        &[("all", "x"), ("contains", "cc")],
        true,
    );
    check(r#"a in {"'", '"'}"#, &[("a", "'")], true);
    check("a == 'é ünï'", &[("a", "é ünï")], true);
}

#[test]
fn canonical_forms_and_ids_are_upstreams() {
    // The identifiers are printed by upstream's own tests, the others computed by the published formula.
    let check = |text: &str, canonical: &str, id: &str| {
        let selector = parse(text);
        assert_eq!(selector.canonical(), canonical);
        assert_eq!(selector.unique_id(), id, "{text}");
    };
    check("", "all()", "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug");
    check(
        " (all() )",
        "all()",
        "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug",
    );
    check(
        "! (has( b)||! has(a ))",
        "!(has(b) || !has(a))",
        "s:Iss0uCleLYv1GSv_pNm7hAO58kE9jAx1NKyG3Q",
    );
    check(
        r#"! (a == "b"&&! c != "d")"#,
        r#"!(a == "b" && !c != "d")"#,
        "s:lh3haoY1ikTRkd4UZu0nWSaIBknYLPJLX16d-w",
    );
    check(
        "a=='b'",
        r#"a == "b""#,
        "s:flMh0m0X_BowkAK_W3j3MgH8oQOsj3WxGDoXCQ",
    );
    check(
        "a in {'z','x','z'}",
        r#"a in {"x", "z"}"#,
        "s:XgDBaHZl_vT_u3vwjyBqs6TEOXSKVHICTGMr_A",
    );
    check(
        "pcns.x startswith 'q' && (has(a) && has(b))",
        r#"(pcns.x starts with "q" && (has(a) && has(b)))"#,
        "s:zg_Kh56xiw3yCbJLYBxj_bxpKo5FXoafTcTUTg",
    );
}

#[test]
fn canonical_text_is_normalised() {
    let check = |text: &str, canonical: &str| assert_eq!(parse(text).canonical(), canonical);
    check(r#"a == "'""#, r#"a == "'""#);
    check(r#"a == '"'"#, r#"a == '"'"#);
    check(r#"a in {'"', "'", 'x'}"#, r#"a in {'"', "'", "x"}"#);
    check("a endswith 'x'", r#"a ends with "x""#);
    check("a notin {}", "a not in {}");
    check(
        "a=='b'||has(c)&&!d!='e'",
        r#"(a == "b" || (has(c) && !d != "e"))"#,
    );
    check("((a=='b'))", r#"a == "b""#);
    check("!!!has(a)", "!has(a)");
    check("!(!has(a))", "!!has(a)");
    check("global( )", "global()");
}

#[test]
fn errors_say_where_what_and_how() {
    let check = |text: &str, message: &str| {
        let error = Selector::parse(text).expect_err(text);
        assert!(error.to_string().starts_with(message), "{text}: {error}");
    };
    check(
        "a = 'b'",
        "at byte 2: expected ==, !=, in, not in, contains, starts with or ends with after the label, found '=' (equality is written ==)",
    );
    check(
        "a == b",
        "at byte 5: expected a value in quotes, found \"b\" (values are written 'in quotes')",
    );
    check("a", "at byte 1: expected ==, !=");
    check(
        "a == 'b' & has(c)",
        "at byte 9: expected &&, || or the end, found '&'",
    );
    check(
        "(a == 'b'",
        "at byte 9: expected &&, || or ), found the end",
    );
    check(
        "a == 'b')",
        "at byte 8: expected &&, || or the end, found ')'",
    );
    check(
        "a == 'b",
        "at byte 5: expected a closing quote for this string",
    );
    check("a in 'b'", "at byte 5: expected a set, found '\\''");
    check(
        "a in {'b' 'c'}",
        "at byte 10: expected } or a value in quotes",
    );
    check(
        "%",
        "at byte 0: expected a label, has(label), all() or (, found '%'",
    );
}

#[test]
fn what_upstream_refuses_is_refused() {
    for text in [
        "b == b",
        "b contains b",
        "b starts with b",
        "'b1' == b",
        "b",
        "a b",
        "!",
        "foo == \"bar\" &",
        "foo == \"bar\" |",
        "foo != ||",
        "foo in {\"\", ||",
        "foo in \"\"",
        "\"FOO",
        "\"FOO'",
        "'FOO",
        "(",
        ")",
        "()",
        "a == \"b\" && %",
        "a ",
        "has(foo) &&",
        "all(",
        "global(",
        "has()",
        "has(foo",
        "has ( foo )",
        "all ()",
        "label starts foo 'v'",
        "label inf 'v'",
        "label ends withs 'v'",
        "a in {,}",
        "a in {'x',,}",
        "a == 'x'\n",
        "a\n== 'x'",
        "a == 'x' b == 'y'",
        "&& has(a)",
        "a ! = 'x'",
        "a =='x' !",
        "é == 'x'",
        "has('a')",
        "a not 'x'",
        "a == 'x' || || b == 'y'",
        "() && has(a)",
        "a not in ('x')",
    ] {
        assert!(Selector::parse(text).is_err(), "{text}");
    }
    assert!(Selector::parse(&format!("{} == 'v'", "a".repeat(512))).is_ok());
    assert!(Selector::parse(&format!("{} == 'v'", "a".repeat(513))).is_err());
    assert!(Selector::parse(&format!("has({})", "a".repeat(513))).is_err());
}

#[test]
fn hostile_depth_and_length_are_bounded() {
    // What upstream admits (1024 characters) is admitted however deep it is.
    let depth = MAX_DEPTH;
    for (open, close) in [
        ("(", ")"),
        ("!(", ")"),
        ("has(b)&&(", ")"),
        ("!(has(b)||(", "))"),
    ] {
        let times = depth
            / open
                .matches('(')
                .count()
                .saturating_sub(usize::from(open.contains("has")))
                .max(1);
        let text = format!("{}has(a){}", open.repeat(times), close.repeat(times));
        let selector = parse(&text);
        assert!(selector.matches(&labels(&[("a", "1"), ("b", "1")])) || open.contains('!'));
        assert_eq!(
            selector
                .with_prefix("p.")
                .and(&selector)
                .restrictions()
                .len(),
            selector
                .and(&selector.with_prefix("p."))
                .restrictions()
                .len()
        );
        drop(selector);
        let text = format!(
            "{}has(a){}",
            open.repeat(depth + 1),
            close.repeat(depth + 1)
        );
        assert!(Selector::parse(&text).is_err());
    }
    for piece in [
        "(",
        "!",
        "!(",
        "has(",
        "a in {",
        "a in {'x',",
        "a=='",
        "&&",
        "\u{0}",
        "é",
    ] {
        assert!(
            Selector::parse(&piece.repeat(MAX_LENGTH / piece.len())).is_err(),
            "{piece}"
        );
        assert!(
            Selector::parse(&piece.repeat(1_000_000)).is_err(),
            "{piece}"
        );
    }
    let long = vec!["a == 'x'"; MAX_LENGTH / 12].join("||");
    assert_eq!(parse(&long).restrictions().len(), 1);
    assert!(parse(&long).matches(&labels(&[("a", "x")])));
    let nots = format!("{}has(a)", "!".repeat(MAX_LENGTH - 6));
    assert_eq!(parse(&nots).canonical(), "has(a)");
}

#[test]
fn combinations() {
    let namespaces = parse("k == 'v' && has(x) || !(y in {'z'}) || all()").with_prefix("pcns.");
    assert_eq!(
        namespaces.canonical(),
        r#"((pcns.k == "v" && has(pcns.x)) || !pcns.y in {"z"} || all())"#
    );
    let combined =
        Selector::label_is("app", "db").and(&Selector::lacks("projectcalico.org/namespace"));
    assert_eq!(
        combined,
        parse("app == 'db' && !has(projectcalico.org/namespace)")
    );
    assert_eq!(
        Selector::label_in("a", ["y", "x", "y"]),
        parse("a in {'x', 'y'}")
    );
    assert_eq!(Selector::has("a"), parse("has(a)"));
    assert!(Selector::all().is_all() && parse("").is_all() && !parse("!all()").is_all());
    assert!(parse(" global()").is_global() && !parse("!global()").is_global());
    assert!(parse("has(a) || !(global() && has(b))").mentions_global());
    // No text says this, but a value can be it.
    let quotes = Selector::label_is("a", "'\"");
    assert!(quotes.matches(&labels(&[("a", "'\"")])));
}

#[test]
fn restrictions_are_upstreams() {
    fn shown(selector: &Selector) -> String {
        let mut text = String::new();
        for (label, restriction) in selector.restrictions() {
            let presence = match (restriction.must_be_present, restriction.must_be_absent) {
                (true, true) => "never",
                (true, false) => "has",
                (false, true) => "lacks",
                (false, false) => "?",
            };
            write!(text, "{presence} {label}").unwrap();
            if let Some(values) = restriction.one_of {
                write!(text, " {}", values.join("|")).unwrap();
            }
            text.push(';');
        }
        text
    }
    let check = |text: &str, expected: &str| {
        assert_eq!(shown(&parse(text)), expected, "{text}");
        assert_eq!(
            shown(&parse(&format!("all() && ({text})"))),
            expected,
            "all() && {text}"
        );
    };
    for text in [
        "all()",
        "global()",
        "a not in {'v'}",
        "a != 'v'",
        "a == 'x' || has(b)",
        "!(a == 'v')",
        "a == 'x' || all()",
    ] {
        check(text, "");
    }
    check("a == 'v'", "has a v;");
    check("has(a)", "has a;");
    check("a in {'w','v'}", "has a v|w;");
    check(
        "a contains 'v' && b starts with 'x' && c ends with 'y'",
        "has a;has b;has c;",
    );
    check("a == 'v' && a == 'v'", "has a v;");
    check("a == 'v' && a == 'w'", "has a ;");
    check(
        "a in {'1','2','3'} && a in {'2','3'} && has(a)",
        "has a 2|3;",
    );
    check("has(a) && !has(a)", "never a;");
    check("a == 'v' || a == 'u'", "has a u|v;");
    check("has(a) || a == 'v'", "has a;");
    check("a == 'v' || (has(b) && has(a))", "has a;");
    check("!has(a)", "lacks a;");
    check("!has(a) || !has(a) && has(b)", "lacks a;");
    check("!!has(a)", "has a;");
    assert!(!parse("has(a) && !has(a)").restrictions()["a"].is_satisfiable());
    assert!(!parse("a == 'v' && a == 'w'").restrictions()["a"].is_satisfiable());
}

fn leaf() -> impl Strategy<Value = String> {
    let key = prop_oneof![Just("a"), Just("b"), Just("in"), Just("x/y.z-1_")];
    let value = prop_oneof![
        Just(r#""""#),
        Just("'x'"),
        Just("\"x\""),
        Just("'xy'"),
        Just("\"it's\""),
        Just("'\"'")
    ];
    let operator = prop_oneof![
        Just("=="),
        Just("!="),
        Just(" contains "),
        Just(" starts with "),
        Just(" endswith ")
    ];
    let set = proptest::collection::vec(value.clone(), 0..3)
        .prop_map(|values| format!("{{{}}}", values.join(" ,")));
    prop_oneof![
        Just("all()".to_owned()),
        Just("global()".to_owned()),
        key.clone().prop_map(|key| format!("has({key})")),
        (key.clone(), operator, value)
            .prop_map(|(key, operator, value)| format!("{key}{operator}{value}")),
        (
            key,
            prop_oneof![Just("in"), Just("notin"), Just("not in")],
            set
        )
            .prop_map(|(key, operator, set)| format!("{key} {operator}{set}")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(5, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|operand| format!("! ({operand})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left}&&({right})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} || {right})")),
            (inner.clone(), inner).prop_map(|(left, right)| format!("{left}||{right}")),
        ]
    })
}

fn label_map() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key =
        prop_oneof![Just("a"), Just("b"), Just("in"), Just("x/y.z-1_")].prop_map(str::to_owned);
    let value = prop_oneof![Just(""), Just("x"), Just("xy"), Just("it's"), Just("\"")]
        .prop_map(str::to_owned);
    proptest::collection::btree_map(key, value, 0..4)
}

proptest! {
    #[test]
    fn reading_the_canonical_text_gives_the_same_selector(text in expression(), labels in label_map()) {
        let selector = parse(&text);
        let again = parse(selector.canonical());
        prop_assert_eq!(selector.matches(&labels), again.matches(&labels));
        if selector.canonical().contains("!!") {
            prop_assert!(!again.canonical().contains("!!"));
        } else {
            prop_assert_eq!(&again, &selector);
            prop_assert_eq!(again.unique_id(), selector.unique_id());
        }
    }

    #[test]
    fn a_match_satisfies_the_restrictions(text in expression(), labels in label_map()) {
        let selector = parse(&text);
        if selector.matches(&labels) {
            for (label, restriction) in selector.restrictions() {
                let value = labels.get(label);
                prop_assert!(!restriction.must_be_present || value.is_some(), "{} must be present", label);
                prop_assert!(!restriction.must_be_absent || value.is_none(), "{} must be absent", label);
                let allowed = restriction.one_of.is_none_or(|values| value.is_some_and(|value| values.contains(&value.as_str())));
                prop_assert!(allowed, "{} is {:?}", label, value);
            }
        }
    }

    #[test]
    fn prefixing_renames_every_label(text in expression(), labels in label_map()) {
        let prefixed: BTreeMap<String, String> = labels.iter().map(|(key, value)| (format!("pcns.{key}"), value.clone())).collect();
        prop_assert_eq!(parse(&text).with_prefix("pcns.").matches(&prefixed), parse(&text).matches(&labels));
    }

    #[test]
    fn any_text_is_answered(text in "[ab'\"(){}!&|=,. \thasinotlgwé%-]{0,60}") {
        if let Ok(selector) = Selector::parse(&text) {
            parse(selector.canonical());
        }
    }
}
