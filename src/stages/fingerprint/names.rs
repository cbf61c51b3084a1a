//! The fixed word lists of `f1`: days and months, units and zones, ends of host names. They are
//! part of the format.

/// `Jun`, `June`, `Fri`, `Friday`: English day and month names, capitalised.
pub fn is_date_name(word: &[u8]) -> bool {
    if word.len() < 3 || word.len() > 9 || !word[0].is_ascii_uppercase() {
        return false;
    }
    let rest: &[u8] = match &word[..3] {
        b"Mon" => b"day",
        b"Tue" => b"sday",
        b"Wed" => b"nesday",
        b"Thu" => b"rsday",
        b"Fri" => b"day",
        b"Sat" => b"urday",
        b"Sun" => b"day",
        b"Jan" => b"uary",
        b"Feb" => b"ruary",
        b"Mar" => b"ch",
        b"Apr" => b"il",
        b"May" => b"",
        b"Jun" => b"e",
        b"Jul" => b"y",
        b"Aug" => b"ust",
        b"Sep" => b"tember",
        b"Oct" => b"ober",
        b"Nov" => b"ember",
        b"Dec" => b"ember",
        _ => return false,
    };
    word.len() == 3 || &word[3..] == rest
}

/// What may follow a number and belongs to it: units of size and time, zones, halves of the day.
pub fn is_unit(word: &[u8]) -> bool {
    matches!(
        word,
        b"B" | b"s"
            | b"\xc2\xb5s"
            | b"KB"
            | b"MB"
            | b"GB"
            | b"TB"
            | b"PB"
            | b"kB"
            | b"kb"
            | b"mb"
            | b"gb"
            | b"tb"
            | b"KiB"
            | b"MiB"
            | b"GiB"
            | b"TiB"
            | b"PiB"
            | b"ns"
            | b"us"
            | b"ms"
            | b"sec"
            | b"secs"
            | b"min"
            | b"mins"
            | b"hr"
            | b"hrs"
            | b"byte"
            | b"bytes"
            | b"Byte"
            | b"Bytes"
            | b"second"
            | b"seconds"
            | b"minute"
            | b"minutes"
            | b"hour"
            | b"hours"
            | b"day"
            | b"days"
            | b"millisecond"
            | b"milliseconds"
            | b"microseconds"
            | b"nanoseconds"
            | b"millis"
            | b"AM"
            | b"PM"
            | b"am"
            | b"pm"
            | b"UTC"
            | b"GMT"
            | b"EST"
            | b"EDT"
            | b"CST"
            | b"CDT"
            | b"MST"
            | b"MDT"
            | b"PST"
            | b"PDT"
            | b"CET"
            | b"CEST"
            | b"BST"
            | b"MSK"
            | b"IST"
            | b"JST"
    )
}

/// `db-1.eu.example.com`, `mail.google.com`: a dotted name that ends like the name of a host and
/// does not begin like the name of a package.
pub fn is_host(chain: &[u8]) -> bool {
    let Some(dot) = memchr::memrchr(b'.', chain) else {
        return false;
    };
    let (front, last) = (&chain[..dot], &chain[dot + 1..]);
    let lower = last.iter().all(u8::is_ascii_lowercase);
    let upper = || {
        let upper = |byte: &u8| byte.is_ascii_uppercase();
        last.iter().all(upper) && !front.iter().any(u8::is_ascii_lowercase)
    };
    if front.is_empty() || last.len() < 2 || !(lower || upper()) {
        return false;
    }
    let labels = 2 + memchr::memchr_iter(b'.', front).count();
    let mut buffer = [0; 12];
    let Some(end) = buffer.get_mut(..last.len()) else {
        return false;
    };
    for (to, from) in end.iter_mut().zip(last) {
        *to = from.to_ascii_lowercase();
    }
    let ends_like_a_host = match &*end {
        b"com" | b"net" | b"org" | b"edu" | b"gov" | b"mil" | b"int" | b"info" | b"biz" => true,
        b"local" | b"localdomain" | b"internal" | b"intranet" | b"lan" | b"corp" | b"home"
        | b"arpa" => true,
        b"io" | b"ai" => labels >= 2,
        // Two letters are a country only in a longer name, and not when files end so.
        b"gz" | b"js" | b"py" | b"rb" | b"rs" | b"go" | b"sh" | b"so" | b"md" | b"ts" | b"cs"
        | b"db" | b"xz" | b"id" | b"cc" => false,
        _ => last.len() == 2 && labels >= 3,
    };
    let first = chain.split(|&byte| byte == b'.').next().unwrap_or_default();
    let begins_like_a_package = matches!(
        first,
        b"com"
            | b"org"
            | b"net"
            | b"edu"
            | b"io"
            | b"java"
            | b"javax"
            | b"sun"
            | b"jdk"
            | b"android"
    );
    ends_like_a_host && !begins_like_a_package && !chain.windows(2).any(|pair| pair == b"..")
}
