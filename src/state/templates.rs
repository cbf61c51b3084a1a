//! Templates: masked messages that still differ in words that vary (user names, hosts, paths)
//! become one row with `<*>` there.
//!
//! A pure function of the *set* of masked messages: order and counts play no part, so two
//! instances that saw the same messages print the same templates and reports can be merged. The
//! fold asks for it when a report, a snapshot or a window needs it; it costs nothing per line.

mod rows;
mod words;

use crate::flow::fingerprint::Fingerprint;
use rows::{Rows, fixed_words};
use std::collections::{HashMap, HashSet};
use words::{WORDS_MAX, Word, split};

/// What stands where the messages of a template differ.
const STAR: &[u8] = b"<*>";

/// So many sets of varying places are tried for a message of one length: hostile input must not
/// make the question for one message expensive.
const SHAPES_MAX: usize = 256;

/// One template and the masked messages it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub text: Vec<u8>,
    /// In ascending order, never empty.
    pub members: Vec<Fingerprint>,
    words: usize,
    /// Bit n: word n varies.
    stars: u64,
}

/// All templates of a set of masked messages, by text.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    templates: Vec<Template>,
    by_member: HashMap<Fingerprint, u32>,
    /// Which words vary, by number of words, fewest stars first; and the template by the words
    /// that stay.
    shapes: HashMap<usize, Vec<u64>>,
    by_fixed_words: HashMap<(usize, u64, u64), u32>,
}

/// The templates of a set of masked messages. A message given twice counts once.
///
/// Time grows with messages times words; memory with 16 bytes a word of the largest group of
/// messages that have the same number of words, at most `WORDS_MAX` each.
pub fn cluster<'a>(masked: impl Iterator<Item = (Fingerprint, &'a [u8])>) -> Templates {
    let mut seen = HashSet::new();
    let mut by_length: Vec<Vec<(Fingerprint, &'a [u8])>> = vec![Vec::new(); WORDS_MAX + 1];
    for (fingerprint, text) in masked {
        if seen.insert(fingerprint) {
            by_length[split(text).count()].push((fingerprint, text));
        }
    }
    drop(seen);
    let mut templates = Vec::new();
    for (words, messages) in by_length.iter_mut().enumerate() {
        messages.sort_unstable();
        let texts = messages.iter().map(|&(_, text)| text);
        for group in Rows::new(words, texts).grouped() {
            templates.push(Template {
                text: rendered(&group.members, group.stars, messages),
                members: group
                    .members
                    .iter()
                    .map(|&row| messages[row as usize].0)
                    .collect(),
                words,
                stars: group.stars,
            });
        }
    }
    templates.sort_unstable_by(|a, b| (&a.text, &a.members).cmp(&(&b.text, &b.members)));
    Templates::indexed(templates)
}

/// The text of the first member with `<*>` for the words that vary; what all members have around
/// the word (quotes, brackets, a comma) stays.
fn rendered(members: &[u32], stars: u64, messages: &[(Fingerprint, &[u8])]) -> Vec<u8> {
    let text = |row: u32| messages[row as usize].1;
    let first = text(members[0]);
    let spans: Vec<&[u8]> = split(first).collect();
    let mut around: Vec<(usize, usize)> = spans.iter().map(|word| words::around(word)).collect();
    for &row in &members[1..] {
        for (at, word) in split(text(row)).enumerate() {
            if stars >> at & 1 == 1 {
                let whole = spans[at];
                let (before, after) = &mut around[at];
                let same = |(a, b): &(&u8, &u8)| a == b;
                let (own_before, own_after) = words::around(word);
                let front = whole[..*before].iter().zip(&word[..own_before]);
                *before = front.take_while(same).count();
                let back = whole[whole.len() - *after..].iter().rev();
                let own_back = word[word.len() - own_after..].iter().rev();
                *after = back.zip(own_back).take_while(same).count();
            }
        }
    }
    let mut rendered = Vec::with_capacity(first.len());
    let mut copied = 0;
    for (at, word) in spans.iter().enumerate() {
        if stars >> at & 1 == 1 {
            let start = word.as_ptr() as usize - first.as_ptr() as usize;
            let (before, after) = around[at];
            rendered.extend_from_slice(&first[copied..start + before]);
            rendered.extend_from_slice(STAR);
            copied = start + word.len() - after;
        }
    }
    rendered.extend_from_slice(&first[copied..]);
    rendered
}

impl Templates {
    fn indexed(templates: Vec<Template>) -> Templates {
        let mut indexed = Templates::default();
        let mut all_shapes = HashSet::new();
        for (number, template) in (0u32..).zip(&templates) {
            for &member in &template.members {
                indexed.by_member.insert(member, number);
            }
            let shape = (template.words, template.stars);
            if template.stars != 0 {
                let shapes = indexed.shapes.entry(template.words).or_default();
                if all_shapes.insert(shape) {
                    shapes.push(template.stars);
                }
            }
            let words: Vec<Word> = split(&template.text).map(Word::new).collect();
            let fixed = fixed_words(&words, template.stars);
            // Texts that differ in spaces only share an entry: the first by text has it.
            let entry = indexed.by_fixed_words.entry((shape.0, shape.1, fixed));
            entry.or_insert(number);
        }
        for shapes in indexed.shapes.values_mut() {
            shapes.sort_unstable_by_key(|stars| (stars.count_ones(), std::cmp::Reverse(*stars)));
            shapes.truncate(SHAPES_MAX);
        }
        indexed.templates = templates;
        indexed
    }

    /// Templates that were written down: every word with a `<*>` in it varies.
    pub fn of_texts<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Templates {
        let template = |text: &[u8]| {
            let words: Vec<&[u8]> = split(text).collect();
            let varies = |word: &[u8]| memchr::memmem::find(word, STAR).is_some();
            let places = words.iter().enumerate();
            let stars = places
                .filter(|(_, word)| varies(word))
                .fold(0, |stars, (place, _)| stars | 1 << place);
            Template {
                text: text.to_vec(),
                members: vec![Fingerprint::of_masked(text)],
                words: words.len(),
                stars,
            }
        };
        Templates::indexed(texts.map(template).collect())
    }

    /// The template that a masked message of the set belongs to; `None` if it was not in the set.
    pub fn of(&self, fingerprint: Fingerprint) -> Option<&[u8]> {
        Some(&self.template(fingerprint)?.text)
    }

    /// All masked messages of the same template, itself among them, in ascending order.
    pub fn members(&self, fingerprint: Fingerprint) -> Option<&[Fingerprint]> {
        Some(&self.template(fingerprint)?.members)
    }

    /// The template that covers a masked message, in the set or not: all words that stay are
    /// equal. Of several, the one with the fewest words that vary, and of these the one that
    /// varies latest in the text.
    pub fn cover(&self, masked: &[u8]) -> Option<&[u8]> {
        let words: Vec<Word> = split(masked).map(Word::new).collect();
        let shapes = self
            .shapes
            .get(&words.len())
            .map_or(&[] as &[u64], Vec::as_slice);
        let number = std::iter::once(&0).chain(shapes).find_map(|&stars| {
            let fixed = fixed_words(&words, stars);
            self.by_fixed_words.get(&(words.len(), stars, fixed))
        })?;
        Some(&self.templates[*number as usize].text)
    }

    pub fn template(&self, fingerprint: Fingerprint) -> Option<&Template> {
        let number = *self.by_member.get(&fingerprint)?;
        Some(&self.templates[number as usize])
    }

    /// All templates, by text.
    pub fn iter(&self) -> impl Iterator<Item = &Template> {
        self.templates.iter()
    }

    pub fn len(&self) -> usize {
        self.templates.len()
    }

    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }
}

#[cfg(test)]
mod tests;
