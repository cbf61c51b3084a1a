//! Messages of several lines. A stack trace is known by its types and the frames next to the
//! error, not by line numbers, depths or the wording of causes.

use super::pass::Pass;

/// Frames that count: deeper ones differ with the caller, not with the fault.
const FRAMES: usize = 3;
/// Lines with a type that count, the first ones.
const TYPES: usize = 4;

/// Appends the masked form of `message`, whose first line ends at `first_end`.
pub fn mask(message: &[u8], first_end: usize, masked: &mut Vec<u8>) {
    let lines = || message[first_end + 1..].split(|&byte| byte == b'\n');
    if !lines().any(|line| frame(line).is_some()) {
        Pass::run(message, masked);
        return;
    }
    Pass::run(message[..first_end].trim_ascii_end(), masked);
    for name in lines().filter_map(type_name).take(TYPES) {
        masked.push(b'\n');
        masked.extend_from_slice(name);
    }
    // Python prints the innermost frame last, everyone else first.
    let frames = || lines().filter_map(frame);
    let innermost_last = lines().any(|line| line.trim_ascii_start().starts_with(b"File \""));
    let skipped = if innermost_last {
        frames().count().saturating_sub(FRAMES)
    } else {
        0
    };
    for frame in frames().skip(skipped).take(FRAMES) {
        masked.push(b'\n');
        Pass::run(frame, masked);
    }
}

/// The name on the line of a frame, without place and line number: `pkg.Class.method`.
fn frame(line: &[u8]) -> Option<&[u8]> {
    let indented = line
        .first()
        .is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    let text = line.trim_ascii();
    let name = if indented {
        indented_frame(text)
    } else {
        marginal_frame(text)
    };
    name.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

fn indented_frame(text: &[u8]) -> Option<&[u8]> {
    if let Some(name) = text.strip_prefix(b"at ".as_slice()) {
        // Java and Node end with `(place)`, C# goes on with ` in file:line`. A place alone
        // belongs to the frame above (Rust) or to a function without a name. Java's modules stand
        // before a slash: `java.base/java.lang.Thread.run(…)`.
        let open = memchr::memchr(b'(', name);
        let name = &name[..open.unwrap_or(name.len())];
        let is_place = name.contains(&b'/')
            && (open.is_none()
                || matches!(name[0], b'/' | b'.' | b'<')
                || name
                    .iter()
                    .any(|byte| byte.is_ascii_whitespace() || *byte == b':'));
        return Some(name).filter(|_| !is_place);
    }
    if let Some(file) = text.strip_prefix(b"File \"".as_slice()) {
        let name = memchr::memmem::rfind(file, b", in ")?;
        return Some(&file[name + 5..]);
    }
    if let Some(place) = text.strip_prefix(b"from ".as_slice()) {
        // Ruby: from file.rb:12:in 'name', with a backtick in front before 3.4.
        let name = memchr::memmem::find(place, b":in ")?;
        let name = &place[name + 4..];
        let name = name
            .strip_prefix(b"'")
            .or(name.strip_prefix(b"`"))
            .unwrap_or(name);
        return Some(name.strip_suffix(b"'").unwrap_or(name));
    }
    // Rust: `7: app::load`; how a panic is made is the same for all of them.
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let name = text[digits..].strip_prefix(b": ")?;
    let machinery = [b"std::".as_slice(), b"core::", b"<"];
    let own = digits > 0 && !machinery.iter().any(|prefix| name.starts_with(prefix));
    Some(name).filter(|name| own && memchr::memmem::find(name, b"::").is_some())
}

fn marginal_frame(text: &[u8]) -> Option<&[u8]> {
    if text.starts_with(b"#") {
        // PHP: `#0 /app/b.php(12): name()`.
        let place = memchr::memmem::find(text, b"): ")?;
        let name = &text[place + 3..];
        return Some(&name[..memchr::memchr(b'(', name)?]);
    }
    // Go: `main.(*Job).run(0x1, 0x2)`, above its place.
    let name = &text[..memchr::memrchr(b'(', text)?];
    let dotted = text.ends_with(b")") && name.contains(&b'.');
    Some(name).filter(|name| dotted && !name.iter().any(u8::is_ascii_whitespace))
}

/// The type of an exception that a line names at its margin: `Caused by: java.io.IOException`.
fn type_name(line: &[u8]) -> Option<&[u8]> {
    if line.first().is_none_or(u8::is_ascii_whitespace) {
        return None;
    }
    let text = [b"Caused by: ".as_slice(), b"Wrapped by: "]
        .iter()
        .find_map(|prefix| line.strip_prefix(*prefix))
        .unwrap_or(line);
    let end = text
        .iter()
        .position(|&byte| byte == b':' || byte.is_ascii_whitespace())
        .unwrap_or(text.len());
    let name = &text[..end];
    let last = name.rsplit(|&byte| byte == b'.' || byte == b'$').next()?;
    let named = last.first().is_some_and(u8::is_ascii_uppercase)
        && name
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$'));
    let whole = end == text.len() || text[end] == b':';
    (named && whole).then_some(name)
}
