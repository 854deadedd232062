//! Credentials from the environment: what is taken, what is refused, and that none is ever shown.

use super::*;

#[test]
fn a_credential_without_a_url_is_told() {
    assert!(remark(&[("LOGCHUTE_TOKEN", "canary")]).contains("LOGCHUTE_URL is not"));
}

#[test]
fn b8_no_secret_is_shown_by_an_error_or_by_debug() {
    for (name, value) in [
        ("LOGCHUTE_TOKEN", "can\rary"),
        ("LOGCHUTE_PASSWORD", "can\nary"),
        ("LOGCHUTE_HEADERS", "canary"),
        ("LOGCHUTE_HEADERS", "x-key=canary%0d%0aevil: 1"),
        ("LOGCHUTE_HEADERS", "x-key=canary%"),
        ("LOGCHUTE_HEADERS", "authorization: Bearer canary=="),
        ("LOGCHUTE_HEADERS", "x-key=can\rary"),
    ] {
        let (named, shown, must) = refusal(&[URL, (name, value)]);
        assert_eq!((&*named, &*shown), (name, "***"));
        assert!(!must.contains("ary"), "{must}");
    }
    let builder = from_env(&[
        URL,
        ("LOGCHUTE_PASSWORD", "canary"),
        ("LOGCHUTE_USER", "me"),
        ("LOGCHUTE_HEADERS", "x-key=canary,x-other=a%2Cb"),
    ])
    .unwrap();
    assert!(!format!("{builder:?}").contains("canary"), "{builder:?}");
    let headers = &builder.destinations[0].reach.credentials.headers;
    assert_eq!(headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-key", "x-other"]);
}

#[test]
fn twins_take_files_and_exclude_the_value() {
    let file = std::env::temp_dir().join(format!("logchute-headers-{}", std::process::id()));
    std::fs::write(&file, "x-one=1\nx-two=2,x-three=3\n").unwrap();
    let path = file.to_str().unwrap();
    let got = settings(&[URL, ("LOGCHUTE_HEADERS_FILE", path), ("LOGCHUTE_TOKEN_FILE", "/run/token")]);
    assert_eq!(got.destinations[0].reach.credentials.headers.len(), 3);
    assert!(format!("{:?}", got.destinations[0]).contains("/run/token"));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(refusal(&[URL, ("LOGCHUTE_HEADERS_FILE", path)]).0, "LOGCHUTE_HEADERS_FILE");
    let (name, value, must) = refusal(&[URL, ("LOGCHUTE_TOKEN_FILE", "/run/token"), ("LOGCHUTE_TOKEN", "canary")]);
    assert_eq!((&*name, &*value), ("LOGCHUTE_TOKEN_FILE", "/run/token"));
    assert!(must.contains("LOGCHUTE_TOKEN is set") && !must.contains("canary"));
}

#[cfg(feature = "tls")]
#[test]
fn half_a_client_certificate_is_refused() {
    assert_eq!(refusal(&[URL, ("LOGCHUTE_CERT", "/c.pem")]).0, "LOGCHUTE_CERT");
    let got = settings(&[URL, ("LOGCHUTE_CERT", "/c.pem"), ("LOGCHUTE_KEY", "/k.pem"), ("LOGCHUTE_CA", "/ca.pem")]);
    assert_eq!(got.destinations[0].reach.ca.as_deref(), Some(Path::new("/ca.pem")));
}

#[test]
fn no_value_makes_it_panic_or_shows_a_secret() {
    let pieces = [
        "loki",
        "+http",
        "://",
        "canary",
        "@",
        ":",
        "/",
        "?",
        "=",
        "%",
        "%2",
        "%zz",
        ",",
        "[",
        "]",
        "{",
        "ä",
        "\u{202e}",
        "\n",
        "9",
        "99999999999999999999",
        "MiB",
        "ms",
        "block:",
        "info",
        "off",
        "-",
        ".",
        "#",
        "&",
        " ",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let setting = &SETTINGS[random.usize(..SETTINGS.len())];
        let value: String = (0..random.usize(..8)).map(|_| pieces[random.usize(..pieces.len())]).collect();
        let url = (random.bool() && setting.name != URL.0).then_some(URL);
        let variables: Vec<_> = [(setting.name, value.as_str())].into_iter().chain(url).collect();
        let (said, has_header) = seen(&variables);
        let is_name = setting.name == "LOGCHUTE_HEADERS" && has_header;
        assert!(!setting.secret || is_name || !said.contains("canary"), "{variables:?}: {said}");
    }
}
