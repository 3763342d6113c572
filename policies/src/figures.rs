//! Figures as text: what was compared, and why something is done, as people read it in journals.
//!
//! A notification has a dozen such texts, and each is written once and read seldom. `format!` asks every part through tables of its own and lets the
//! text grow as it goes; here the parts tell how much room they need and are put one after another.

use std::fmt::{Display, Write};

use firedrill_core::action::Target;
use firedrill_core::name::Name;
use firedrill_core::quantity::Ratio;
use firedrill_core::time::{Span, Time};

/// Something that figures are made of.
pub(crate) trait Figure {
    /// How many bytes it needs, or a few more.
    fn room(&self) -> usize;

    /// Puts it at the end of a text, as its `Display` has it.
    fn put(&self, text: &mut String);
}

/// Figures of their parts, one after another.
pub(crate) fn figures(parts: &[&dyn Figure]) -> String {
    let mut text = String::with_capacity(parts.iter().map(|part| part.room()).sum());
    parts.iter().for_each(|part| part.put(&mut text));
    text
}

impl Figure for &str {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&self, text: &mut String) {
        text.push_str(self);
    }
}

impl Figure for String {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&self, text: &mut String) {
        text.push_str(self);
    }
}

impl Figure for Name {
    fn room(&self) -> usize {
        self.len()
    }

    fn put(&self, text: &mut String) {
        text.push_str(self);
    }
}

impl Figure for Target {
    fn room(&self) -> usize {
        self.kind().len() + 1 + self.name().len()
    }

    fn put(&self, text: &mut String) {
        text.push_str(self.kind());
        text.push('/');
        text.push_str(self.name());
    }
}

impl Figure for u64 {
    fn room(&self) -> usize {
        self.checked_ilog10().map_or(1, |digits| digits as usize + 1)
    }

    fn put(&self, text: &mut String) {
        if *self >= 10 {
            (self / 10).put(text);
        }
        text.push(char::from(b'0' + (self % 10) as u8));
    }
}

impl Figure for u32 {
    fn room(&self) -> usize {
        u64::from(*self).room()
    }

    fn put(&self, text: &mut String) {
        u64::from(*self).put(text);
    }
}

impl Figure for usize {
    fn room(&self) -> usize {
        (*self as u64).room()
    }

    fn put(&self, text: &mut String) {
        (*self as u64).put(text);
    }
}

/// Of whole seconds, minutes and hours there are mostly.
impl Figure for Span {
    fn room(&self) -> usize {
        12
    }

    fn put(&self, text: &mut String) {
        displayed(self, text);
    }
}

impl Figure for Time {
    fn room(&self) -> usize {
        14
    }

    fn put(&self, text: &mut String) {
        displayed(self, text);
    }
}

impl Figure for Ratio {
    fn room(&self) -> usize {
        8
    }

    fn put(&self, text: &mut String) {
        displayed(self, text);
    }
}

impl Figure for f64 {
    fn room(&self) -> usize {
        18
    }

    fn put(&self, text: &mut String) {
        displayed(self, text);
    }
}

fn displayed(part: &dyn Display, text: &mut String) {
    // Writing into a text cannot fail.
    let _ = write!(text, "{part}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_as_they_are_displayed_and_have_room() {
        let (name, target): (Name, Target) = (Name::new("api"), "replica/api-1".parse().unwrap());
        let (span, at, share) = (Span::from_seconds(5_400), Time::from_seconds(61), Ratio::parse("12.5%").unwrap());
        let parts: [&dyn Figure; 9] = [&"of ", &"it: ".to_owned(), &name, &target, &span, &at, &share, &0.25, &7_usize];
        let displayed = format!("of it: {name}{target}{span}{at}{share}0.257");
        assert_eq!(figures(&parts), displayed);
        assert!(parts.iter().all(|part| part.room() >= figures(&[*part]).len()), "room for each");
        for number in [0, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            assert_eq!(figures(&[&number]), number.to_string());
            assert_eq!(number.room(), number.to_string().len());
        }
        assert_eq!(figures(&[&u32::MAX]), u32::MAX.to_string());
    }
}
