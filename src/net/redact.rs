//! What may be shown of an address and of a server's answer: no path, no query, no login, and nothing
//! that was secret in the request and came back in the answer.

use crate::flow::secret::{HIDDEN, Secret};

/// Longest answer that is kept, in characters.
const ANSWER_CHARACTERS: usize = 200;

/// Shorter secrets are not looked for in answers: they would hide ordinary words.
const SECRET_BYTES_MIN: usize = 6;

/// Scheme, host and port of a URL. The rest may be a password, as in Slack's addresses.
pub fn address(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Err(_) if url.is_empty() => "an address that is not known here".to_owned(),
        Ok(url) => match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{}://{host}:{port}", url.scheme()),
            (Some(host), None) => format!("{}://{host}", url.scheme()),
            (None, _) => format!("{}://", url.scheme()),
        },
        Err(_) => "an address that is no URL".to_owned(),
    }
}

/// An answer as it may stand in a log or journal: one line, cut, without `secrets`.
pub fn answer(text: &str, secrets: &[&Secret]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        let whole = secret.expose();
        text = hide(text, whole);
        // Of a URL also what comes after the host.
        if let Ok(url) = reqwest::Url::parse(whole)
            && url.has_host()
        {
            if let Some(query) = url.query() {
                text = hide(text, &format!("{}?{query}", url.path()));
                text = hide(text, query);
            }
            text = hide(text, url.path());
            for segment in url.path().rsplit('/').filter(|part| part.len() >= 16) {
                text = hide(text, segment);
            }
            text = hide(text, url.password().unwrap_or_default());
        }
    }
    let mut line = String::new();
    for (number, character) in text.trim().chars().enumerate() {
        if number == ANSWER_CHARACTERS {
            line.push('…');
            break;
        }
        let is_plain = !character.is_control() && !is_direction(character);
        line.push(if is_plain { character } else { ' ' });
    }
    line
}

fn hide(text: String, secret: &str) -> String {
    if secret.len() < SECRET_BYTES_MIN {
        return text;
    }
    text.replace(secret, HIDDEN)
}

/// Characters that turn the direction of writing or break lines without being control characters.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The encoded names are those of IANA's test domains and of the table of UTS 46.
    #[test]
    fn names_outside_ascii_become_the_names_that_dns_knows() {
        for (name, encoded) in [
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("faß.example", "xn--fa-hia.example"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("παράδειγμα.δοκιμή", "xn--hxajbheg2az3al.xn--jxalpdlp"),
            ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            ("उदाहरण.परीक्षा", "xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g"),
        ] {
            assert_eq!(
                address(&format!("https://{name}/path")),
                format!("https://{encoded}")
            );
        }
    }

    #[test]
    fn an_address_keeps_scheme_host_and_port_alone() {
        for (url, shown) in [
            (
                "https://user:pass@hooks.example.com/services/T0/B0/canary?token=canary#f",
                "https://hooks.example.com",
            ),
            ("http://[::1]:8080/x", "http://[::1]:8080"),
            ("not a url canary", "an address that is no URL"),
        ] {
            assert_eq!(address(url), shown);
        }
    }

    #[test]
    fn what_was_secret_does_not_come_back_with_an_answer() {
        let url = Secret::new(
            "https://u:canary-password@h.example/services/T/B/canary-canary-canary?k=canary-key",
        );
        let token = Secret::new("canary-token");
        let text = "no https://u:canary-password@h.example/services/T/B/canary-canary-canary?k=canary-key \
                    /services/T/B/canary-canary-canary canary-canary-canary k=canary-key canary-token canary-password";
        let shown = answer(text, &[&url, &token]);
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.starts_with("no "));
    }

    #[test]
    fn an_answer_is_one_short_line() {
        let shown = answer(&format!("a\r\nb\u{1b}[2J\u{202e}{}", "x".repeat(500)), &[]);
        assert_eq!(shown.chars().count(), ANSWER_CHARACTERS + 1);
        assert!(shown.starts_with("a  b [2J x"));
    }
}
