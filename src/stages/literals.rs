//! `-m`: finds any of some literals in a whole chunk, without looking at lines.
//!
//! Up to `PACKED_MAX` literals go through packed SIMD search (Teddy), one through memmem, more
//! through an automaton. Ignoring case keeps the packed search: the chunk is lowered once into
//! scratch, which costs a tenth of what an automaton with both cases costs.

use aho_corasick::{AhoCorasick, packed};
use memchr::memmem;

/// Teddy's own limit.
const PACKED_MAX: usize = 64;

/// Literals, compiled.
pub struct Literals {
    search: Search,
    ignore_case: bool,
}

enum Search {
    /// An empty literal is in everything.
    Everything,
    One(Box<memmem::Finder<'static>>),
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

impl Literals {
    /// Compiles `literals`, at least one; with `ignore_case` ASCII letters match in both cases.
    pub fn new(literals: &[Vec<u8>], ignore_case: bool) -> Literals {
        let mut literals: Vec<Vec<u8>> = literals.to_vec();
        if ignore_case {
            literals
                .iter_mut()
                .for_each(|literal| literal.make_ascii_lowercase());
        }
        literals.sort();
        literals.dedup();
        let search = if literals.iter().any(Vec::is_empty) || literals.is_empty() {
            Search::Everything
        } else if let [literal] = &*literals {
            Search::One(Box::new(memmem::Finder::new(literal).into_owned()))
        } else if literals.len() <= PACKED_MAX
            && let Some(searcher) = packed::Config::new().builder().extend(&literals).build()
        {
            Search::Packed(searcher)
        } else {
            let kind = if literals.len() > 5_000 {
                None
            } else {
                Some(aho_corasick::AhoCorasickKind::DFA)
            };
            let automaton = AhoCorasick::builder()
                .kind(kind)
                .build(&literals)
                .expect("the command line is far below the automaton's limit");
            Search::Automaton(automaton)
        };
        Literals {
            search,
            ignore_case,
        }
    }

    /// The bytes to search for hits in `bytes`: themselves, or a lowered copy in `scratch`.
    pub fn prepare<'a>(&self, bytes: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
        if !self.ignore_case {
            return bytes;
        }
        scratch.clear();
        scratch.extend_from_slice(bytes);
        scratch.make_ascii_lowercase();
        scratch
    }

    /// The first hit at or after `from` in bytes that came from [`Literals::prepare`].
    #[inline]
    pub fn find(&self, prepared: &[u8], from: usize) -> Option<std::ops::Range<usize>> {
        match &self.search {
            Search::Everything => Some(from..from),
            Search::One(finder) => finder
                .find(&prepared[from..])
                .map(|at| from + at..from + at + finder.needle().len()),
            Search::Packed(searcher) => searcher
                .find_in(prepared, aho_corasick::Span::from(from..prepared.len()))
                .map(|found| found.range()),
            Search::Automaton(automaton) => automaton
                .find(aho_corasick::Input::new(prepared).range(from..))
                .map(|found| found.range()),
        }
    }

    /// Whether `record` holds one of the literals.
    pub fn hold_in(&self, record: &[u8], scratch: &mut Vec<u8>) -> bool {
        self.find(self.prepare(record, scratch), 0).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_with_every_kind_of_search() {
        let mut scratch = Vec::new();
        let many: Vec<Vec<u8>> = (0..200)
            .map(|number| format!("word{number}x").into_bytes())
            .collect();
        assert!(Literals::new(&many, false).hold_in(b"a word150x b", &mut scratch));
        assert!(!Literals::new(&many, false).hold_in(b"a word200x b", &mut scratch));
        assert!(
            Literals::new(&[b"ERROR".to_vec(), b"WARN".to_vec()], true)
                .hold_in(b"an error here", &mut scratch)
        );
        assert!(
            !Literals::new(&[b"ERROR".to_vec(), b"WARN".to_vec()], false)
                .hold_in(b"an error here", &mut scratch)
        );
        assert!(Literals::new(&[Vec::new()], false).hold_in(b"", &mut scratch));
    }

    proptest! {
        /// The answer is the naive one whatever search was chosen.
        #[test]
        fn agrees_with_a_naive_search(literals in prop::collection::vec("[abAB]{1,4}", 1..80), text in "[abAB ]{0,120}", ignore_case: bool) {
            let compiled = Literals::new(&literals.iter().map(|literal| literal.as_bytes().to_vec()).collect::<Vec<_>>(), ignore_case);
            let naive = literals.iter().any(|literal| if ignore_case {
                text.to_ascii_lowercase().contains(&literal.to_ascii_lowercase())
            } else {
                text.contains(literal)
            });
            prop_assert_eq!(compiled.hold_in(text.as_bytes(), &mut Vec::new()), naive);
        }
    }
}
