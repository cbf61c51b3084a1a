//! The page a report is written on. It counts the columns of each row and cuts what does not fit
//! into a terminal, so that no table has to be trusted to stay within it.

use anstyle::AnsiColor;

use crate::flow::level::Level;
use crate::report::text::Style;
use crate::report::text::plain;

/// A colour and weight of text.
pub type Ink = anstyle::Style;

pub const PLAIN: Ink = Ink::new();
/// What introduces a part of the report.
pub const TITLE: Ink = Ink::new().bold();
/// What is there for whoever looks twice.
pub const DIM: Ink = Ink::new().dimmed();
/// Bars that have no level.
pub const BAR: Ink = AnsiColor::Blue.on_default();
pub const ALARM: Ink = AnsiColor::Red.on_default().bold();
pub const CAUTION: Ink = AnsiColor::Yellow.on_default();

/// The colour of a level.
pub fn ink_of(level: Option<Level>) -> Ink {
    match level {
        Some(Level::Fatal) => AnsiColor::Magenta.on_default().bold(),
        Some(Level::Error) => AnsiColor::Red.on_default(),
        Some(Level::Warn) => AnsiColor::Yellow.on_default(),
        Some(Level::Info) => AnsiColor::Green.on_default(),
        Some(Level::Debug) => AnsiColor::Cyan.on_default(),
        Some(Level::Trace) | None => DIM,
    }
}

/// The limit of rows that are not cut; no row of a report comes near it.
const UNCUT: usize = 1 << 40;

/// Where rows are written. A row is `put` piece by piece and ended with [`Page::end`].
pub struct Page<'o> {
    out: &'o mut Vec<u8>,
    color: bool,
    escape: bool,
    width: usize,
    /// Columns of a row; more are cut.
    limit: usize,
    /// Columns of the row that are used, blanks that are not written yet included.
    column: usize,
    /// Blanks at the end of the row; written only when something follows them.
    blank: usize,
    is_empty: bool,
}

impl<'o> Page<'o> {
    pub fn new(out: &'o mut Vec<u8>, style: &Style) -> Page<'o> {
        Page {
            out,
            color: style.color,
            escape: style.escape,
            width: style.width,
            limit: if style.cut { style.width } else { UNCUT },
            column: 0,
            blank: 0,
            is_empty: true,
        }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether rows end at the width.
    pub fn cuts(&self) -> bool {
        self.limit != UNCUT
    }

    /// Columns that are left in the row before it is cut.
    pub fn left(&self) -> usize {
        self.limit - self.column
    }

    /// Columns of the row that are used.
    pub fn column(&self) -> usize {
        self.column
    }

    /// A text for a field of `columns`: a longer one is cut on a terminal, and elsewhere moves the
    /// rest of its row to the right.
    fn field<'t>(&self, text: &'t str, columns: usize) -> std::borrow::Cow<'t, str> {
        if self.cuts() {
            plain::fit(text, columns)
        } else {
            text.into()
        }
    }

    /// Text of the input, made harmless and one line long.
    pub fn shown(&self, bytes: &[u8]) -> String {
        plain::one_line(bytes, self.escape)
    }

    /// Appends text; what does not fit is cut with an ellipsis.
    pub fn put(&mut self, ink: Ink, text: &str) -> &mut Self {
        let text = plain::fit(text, self.left());
        self.column += plain::width(&text);
        // Blanks at the end of a text may be those of the row as well.
        let shown = text.trim_end_matches(' ');
        let blank = text.len() - shown.len();
        let text = shown;
        if text.is_empty() {
            self.blank += blank;
            return self;
        }
        self.out.resize(self.out.len() + self.blank, b' ');
        self.blank = blank;
        if self.color && ink != PLAIN {
            self.out
                .extend_from_slice(format!("{ink}{text}{ink:#}").as_bytes());
        } else {
            self.out.extend_from_slice(text.as_bytes());
        }
        self
    }

    /// Appends blanks.
    pub fn skip(&mut self, columns: usize) -> &mut Self {
        let columns = columns.min(self.left());
        self.column += columns;
        self.blank += columns;
        self
    }

    /// Appends text in a field of its own, at the left.
    pub fn left_in(&mut self, columns: usize, ink: Ink, text: &str) -> &mut Self {
        let text = self.field(text, columns);
        let rest = columns.saturating_sub(plain::width(&text));
        self.put(ink, &text).skip(rest)
    }

    /// Appends text in a field of its own, at the right.
    pub fn right_in(&mut self, columns: usize, ink: Ink, text: &str) -> &mut Self {
        let text = self.field(text, columns);
        let rest = columns.saturating_sub(plain::width(&text));
        self.skip(rest).put(ink, &text)
    }

    /// Appends a remark behind a dot, or in a row of its own if there is no room for all of it.
    pub fn remark(&mut self, ink: Ink, text: &str) -> &mut Self {
        if self.column + 3 + plain::width(text) > self.width {
            self.end();
            self.put(ink, text)
        } else {
            self.put(DIM, " · ").put(ink, text)
        }
    }

    /// Ends the row. Blanks at its end are not written.
    pub fn end(&mut self) {
        self.out.push(b'\n');
        self.column = 0;
        self.blank = 0;
        self.is_empty = false;
    }

    /// An empty row between two parts, and the title of the second with a remark behind it.
    pub fn title(&mut self, title: &str, remark: &str) {
        if !self.is_empty {
            self.end();
        }
        self.put(TITLE, title).skip(2).put(DIM, remark).end();
    }
}
