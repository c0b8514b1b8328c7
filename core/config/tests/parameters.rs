//! The table holds together, and the layers answer as upstream's do.

use std::time::Duration;

use config::{Change, Config, Kind, Layers, Param, Reach, Source, Value, Zero, parse_file};
use model::Protocol;

fn resolved(values: &[(&str, &str)]) -> (Config, Vec<String>) {
    let mut layers = Layers::new();
    layers.set(Source::File, values.iter().copied());
    let (config, warnings) = layers.resolve();
    (config, warnings.iter().map(ToString::to_string).collect())
}

#[test]
fn every_default_is_a_value_of_its_kind() {
    for param in Param::all() {
        let row = param.row();
        assert_eq!(row.param, param);
        assert_eq!(Param::lookup(row.name), Some(param), "{}", row.name);
        assert_eq!(Param::lookup(&row.name.to_lowercase()), Some(param));
        if let Some(yaml) = row.yaml {
            assert_eq!(Param::of_yaml(yaml), Some(param), "{yaml}");
            assert_eq!(Param::lookup(yaml), Some(param), "{yaml}");
        }
        if !row.default.is_empty() {
            assert!(
                row.kind.parse(row.default).is_ok(),
                "{}={}",
                row.name,
                row.default
            );
        }
        assert!(row.doc.ends_with('.'), "{}", row.name);
        assert_eq!(
            row.change == Change::Restart,
            row.reach == Reach::Local,
            "{}",
            row.name
        );
        assert!(
            row.reach == Reach::Any || row.yaml.is_none(),
            "{}",
            row.name
        );
    }
    assert_eq!(Param::all().count(), 209);
}

#[test]
fn defaults_are_upstreams() {
    let config = Config::default();
    assert_eq!(config.list(Param::InterfacePrefix), ["cali".into()]);
    assert_eq!(
        config.text(Param::DefaultEndpointToHostAction).as_ref(),
        "DROP"
    );
    assert_eq!(
        config.duration(Param::IptablesLockProbeIntervalMillis),
        Duration::from_millis(50)
    );
    assert_eq!(
        config.duration(Param::RouteRefreshInterval),
        Duration::from_secs(90)
    );
    assert_eq!(config.mark(Param::NftablesMarkMask), 0xffff_0000);
    assert_eq!(config.int(Param::PrometheusMetricsPort), 9091);
    assert_eq!(config.optional_flag(Param::IpInIpEnabled), None);
    let failsafes = config.failsafes(Param::FailsafeInboundHostPorts);
    assert_eq!((failsafes.len(), failsafes[1].port), (9, 68));
    assert_eq!(failsafes[1].protocol, Protocol::UDP);
}

#[test]
fn the_strongest_place_wins_and_explains() {
    let mut layers = Layers::new();
    layers.set(Source::Global, [("logSeverityScreen", "debug")]);
    layers.set(Source::Selector, [("LogSeverityScreen", "error")]);
    layers.set(Source::Node, [("logSeverityScreen", "Warning")]);
    layers.set_environment([("FELIX_LOGSEVERITYSCREEN", ""), ("PATH", "/bin"), ("é", "")]);
    let (config, warnings) = layers.resolve();
    assert_eq!(warnings, []);
    let why = config.explain(Param::LogSeverityScreen);
    let levels: Vec<(Source, &str)> = why.settings.iter().map(|s| (s.source, &*s.raw)).collect();
    assert_eq!(
        levels,
        [
            (Source::Global, "debug"),
            (Source::Selector, "error"),
            (Source::Node, "Warning")
        ]
    );
    assert_eq!(why.winner(), Source::Node);
    assert_eq!(why.value, Value::Text("WARNING".into()));
    layers.set_environment([("felix_LogSeverityScreen", "fatal")]);
    let (changed, _) = layers.resolve();
    assert_eq!(changed.text(Param::LogSeverityScreen).as_ref(), "FATAL");
    assert_eq!(changed.changed(&config), [Param::LogSeverityScreen]);
}

#[test]
fn what_cannot_be_read_is_the_default() {
    let mut layers = Layers::new();
    layers.set(
        Source::Global,
        [("healthPort", "8080"), ("etcdAddr", "x:1"), ("noSuch", "1")],
    );
    layers.set_environment([
        ("FELIX_HealthPort", "70000"),
        ("FELIX_InterfacePrefix", "none"),
    ]);
    let (config, warnings) = layers.resolve();
    assert_eq!(config.int(Param::HealthPort), 9099);
    assert_eq!(config.explain(Param::HealthPort).winner(), Source::Default);
    assert_eq!(config.list(Param::InterfacePrefix), ["cali".into()]);
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            r#"FelixConfiguration default etcdAddr="x:1": can only be set on the node itself; it is ignored here"#,
            r#"FelixConfiguration default noSuch="1": is no parameter; it is ignored"#,
            r#"environment HealthPort="70000": must be a whole number from 0 to 65535; the default is used"#,
            r#"environment InterfacePrefix="none": must have a value; the default is used"#,
        ]
    );
}

#[test]
fn none_is_zero() {
    let (config, warnings) = resolved(&[
        ("FailsafeInboundHostPorts", "None"),
        ("RouteRefreshInterval", "none"),
        ("MetadataAddr", "none"),
    ]);
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.failsafes(Param::FailsafeInboundHostPorts), []);
    assert_eq!(config.duration(Param::RouteRefreshInterval), Duration::ZERO);
    assert_eq!(config.text(Param::MetadataAddr).as_ref(), "");
    for param in Param::all().filter(|p| p.row().zero == Zero::Allowed) {
        let _ = param.row().kind.zero();
    }
}

#[test]
fn kinds_read_their_forms() {
    let ok = |kind: Kind, text: &str| kind.parse(text).unwrap();
    assert_eq!(ok(Kind::Int(0, 9), "0x9"), Value::Int(9));
    assert!(Kind::Int(0, 9).parse("10").is_err());
    let Value::Failsafes(ports) = ok(Kind::Failsafes, "22, udp:10.0.0.0/8:53,tcp:[fd00::/8]:22")
    else {
        panic!("a list of ports");
    };
    assert_eq!(
        ports[1].net.map(|n| n.to_string()).as_deref(),
        Some("10.0.0.0/8")
    );
    assert_eq!(
        ports[2].net.map(|n| n.to_string()).as_deref(),
        Some("fd00::/8")
    );
    for bad in ["sctp:1", "tcp:x:1", "tcp:70000", ":::", "tcp:[:1"] {
        assert!(Kind::Failsafes.parse(bad).is_err(), "{bad}");
    }
    assert!(Kind::Pattern.parse("^(a|b[)]*)$").is_ok());
    for bad in ["(a", "a\\", "*", "+", "?", "a|*", "(*)"] {
        assert!(Kind::Pattern.parse(bad).is_err(), "{bad}");
    }
    for good in [".*", "^*", "(?:a)?", "[*+]+", "a|b*", "\\*+"] {
        assert!(Kind::Pattern.parse(good).is_ok(), "{good}");
    }
    assert!(
        Kind::InterfacePatterns
            .parse("kube-ipvs0,/^veth.*/")
            .is_ok()
    );
    assert!(Kind::TableRanges.parse("1-250,260-300").is_ok());
    assert!(Kind::TableRanges.parse("1-4000000000").is_err());
    assert!(Kind::TableRange.parse("1-251").is_err());
    assert!(Kind::Mark.parse("0x1").is_err());
    assert!(Kind::LogRate.parse("10/minute").is_ok() && Kind::LogRate.parse("10/week").is_err());
    assert!(
        Kind::KeyDurations
            .parse("InternalDataplaneMainLoop=90s")
            .is_ok()
    );
    assert!(Kind::Endpoints.parse("https://a:1,http://u:p@b").is_err());
}

#[test]
fn files() {
    let text = "# c\n[global]\nLogFilePath = None\nInterfacePrefix: \"tap\"\n; c\nlogfilepath=/x\n";
    assert_eq!(
        parse_file(text).unwrap(),
        [
            ("InterfacePrefix".into(), "tap".into()),
            ("logfilepath".into(), "/x".into())
        ]
    );
    let error = parse_file("a=1\n???\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"line 2: "???" is neither a [section], a comment, nor key = value"#
    );
}
