use super::*;
use proptest::prelude::*;

fn masked(line: &str) -> String {
    Mask::default().line(line).into_owned()
}

#[track_caller]
fn check(line: &str, want: &str) {
    assert_eq!(masked(line), want, "{line}");
    assert_eq!(masked(want), want, "masked twice: {line}");
}

#[test]
fn secrets_are_masked() {
    for (line, want) in [
        ("password=hunter2 user=bob", "password=[masked] user=bob"),
        (
            "login with password: hunter",
            "login with password: [masked]",
        ),
        ("Pwd=a;Server=db", "Pwd=[masked];Server=db"),
        ("DB_PASSWORD=pa$$(word", "DB_PASSWORD=[masked]"),
        (
            r#"{"password":"hun\"ter2","a":1}"#,
            r#"{"password":"[masked]","a":1}"#,
        ),
        (r#"{"passwd" : "cut off here"#, r#"{"passwd" : "[masked]"#),
        (
            r#"body="{\"password\":\"hunter2\",\"a\":1}""#,
            r#"body="{\"password\":\"[masked]\",\"a\":1}""#,
        ),
        ("{user=x, password=y}", "{user=x, password=[masked]}"),
        ("password => 'abc def'", "password => '[masked]'"),
        ("token=abcdef", "token=[masked]"),
        ("access_token=abc&next=1", "access_token=[masked]&next=1"),
        (r#""clientSecret":"abc""#, r#""clientSecret":"[masked]""#),
        ("api_key=12ab, x", "api_key=[masked], x"),
        ("X-Api-Key: 0a1b2c3d", "X-Api-Key: [masked]"),
        (
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG",
            "aws_secret_access_key = [masked]",
        ),
        ("csrf-token: abc123", "csrf-token: [masked]"),
        ("db_pass=secret1", "db_pass=[masked]"),
        (
            "GET /a HTTP/1.1 Authorization: Bearer abc",
            "GET /a HTTP/1.1 Authorization: Bearer [masked]",
        ),
        (
            "authorization=Basic dXNlcjpwYXNz status=401",
            "authorization=Basic [masked] status=401",
        ),
        (
            r#"{"Authorization":"Bearer abc.def"}"#,
            r#"{"Authorization":"Bearer [masked]"}"#,
        ),
        (
            r#"Authorization: Digest username="bob", response="6629""#,
            "Authorization: Digest [masked]",
        ),
        ("authorization: 0123456789abcdef", "authorization: [masked]"),
        ("sent bearer abcdef0123456789", "sent bearer [masked]"),
        ("Set-Cookie: sid=abc; Path=/", "Set-Cookie: [masked]"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key [masked] used"),
        (
            "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN",
            "jwt [masked]",
        ),
        (
            "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozj end",
            "jwt [masked] end",
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "[masked]"),
        ("load: -----BEGIN PRIVATE KEY-----", "load: [masked]"),
        (
            "postgres://bob:s3cr@t@db:5432/x failed",
            "postgres://[masked]@db:5432/x failed",
        ),
        ("redis://:pw@cache/0", "redis://[masked]@cache/0"),
        (
            "mysqldump --password hunter2 db",
            "mysqldump --password [masked] db",
        ),
        (
            "run --db-password=hunter2 db",
            "run --db-password=[masked] db",
        ),
        (
            "ALTER USER bob WITH PASSWORD 'x y'",
            "ALTER USER bob WITH PASSWORD '[masked]'",
        ),
        (
            "push with ghp_0123456789abcdefghijABCDEFGHIJ012345",
            "push with [masked]",
        ),
        ("slack xoxb-1234567890-abcdef", "slack [masked]"),
        (
            "POST https://hooks.slack.com/services/T0/B0/abc",
            "POST https://[masked]",
        ),
    ] {
        check(line, want);
    }
}

#[test]
fn words_are_left_alone() {
    for line in [
        "token expired for user bob",
        "invalid token: expired",
        "unexpected token: punc (})",
        "Unexpected token } in JSON at position 3",
        "unexpected token: 128",
        "token_count=5 tokens=128 max_tokens=4096",
        "password authentication failed for user \"bob\"",
        "password=null password=*** has_password=true",
        "password reset mail sent to bob",
        "secret \"default/web\" not found",
        "secretary: Anna",
        "the bearer of this letter",
        "Bearer authentication required",
        "authorization: denied",
        "pass=12 fail=3 bypass=yes",
        "ssh://git@github.com/a/b http://host:8080/a@b",
        "per-token limit exceeded",
        "cookie: missing",
        "key=5 monkey=3 api key missing",
        "AKIA is a prefix, eyJ too",
        "-----BEGIN CERTIFICATE-----",
        "password=<*> from <*>",
        "compass=north",
    ] {
        check(line, line);
    }
}

#[test]
fn the_users_patterns_mask_their_group_or_all() {
    let patterns = [
        r"ssn (\d+)".to_owned(),
        r"card-\d+".to_owned(),
        "x*".to_owned(),
    ];
    let mask = Mask::new(&patterns).unwrap();
    assert_eq!(mask.line("ssn 123 card-77 ü"), "ssn [masked] [masked] ü");
    let (place, _) = Mask::new(&["a".to_owned(), "(".to_owned()]).unwrap_err();
    assert_eq!(place, 1);
    assert!(Mask::new(&[r"\w{1000000}".to_owned()]).is_err());
}

#[test]
fn evidence_is_masked_everywhere() {
    let mut evidence = Evidence {
        template: Some("login password=hunter2 from <*>".to_owned()),
        samples: vec![crate::flow::alert::SampleLine {
            source: "a".to_owned(),
            offset: 0,
            line: "login password=hunter2 from 10.0.0.1".to_owned(),
        }],
        ..Evidence::default()
    };
    Mask::default().evidence(&mut evidence);
    assert_eq!(
        evidence.template.as_deref(),
        Some("login password=[masked] from <*>")
    );
    assert_eq!(
        evidence.samples[0].line,
        "login password=[masked] from 10.0.0.1"
    );
}

#[test]
fn a_long_line_takes_no_time() {
    for part in [
        "token:",
        "password=",
        "eyJa.",
        "bearer ",
        "a://b:",
        "authorization:\"",
        "-----BEGIN ",
    ] {
        let line = part.repeat(20_000);
        let begin = std::time::Instant::now();
        let _ = masked(&line);
        assert!(
            begin.elapsed().as_secs() < 20,
            "{part}: {:?}",
            begin.elapsed()
        );
    }
}

proptest! {
    /// A secret of any form does not survive behind a name, whatever stands around it.
    #[test]
    fn a_canary_never_survives(
        before in "[a-z :=,{\"]{0,12}",
        name in "(password|DB_PASSWORD|api_key|secret|auth_token|clientSecret|pwd)",
        separator in "(=|: |\":\"|=\")",
        after in "[a-z :=,}\"]{0,12}",
    ) {
        let line = format!("{before} {name}{separator}CANARY1x7 {after}");
        prop_assert!(!masked(&line).contains("CANARY"), "{line} -> {}", masked(&line));
    }

    #[test]
    fn any_text_is_masked_once(line in "\\PC{0,200}") {
        let once = masked(&line);
        prop_assert_eq!(masked(&once), once);
    }
}
