//! Which type a column has, from what has been seen in it. Types only ever widen, and the end does not depend on the
//! order: integer → real → text, true and false → text.
//!
//! A number in a column of text is written in one way whatever way it took there, so that the same file again finds its
//! rows as it left them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// From here on a real number does not hold every whole one.
const EXACT: u64 = 1 << 53;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// True or false.
    Bool,
    /// Whole numbers of 64 bits.
    Int,
    /// Numbers of double precision.
    Real,
    /// Text, nested JSON, and whatever else.
    Text,
}

/// The kinds of values that have been seen, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kinds(u8);

impl Kinds {
    /// Nothing yet.
    pub const NONE: Self = Self(0);
    /// True or false.
    pub const BOOL: Self = Self(1);
    /// A whole number that a real one holds exactly, too.
    pub const INT: Self = Self(2);
    /// A larger one.
    pub const WIDE_INT: Self = Self(4);
    /// A number.
    pub const REAL: Self = Self(8);
    /// Text.
    pub const TEXT: Self = Self(16);

    /// What a whole number is.
    pub fn of_int(number: i64) -> Self {
        if number.unsigned_abs() <= EXACT { Self::INT } else { Self::WIDE_INT }
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Nothing has been seen.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The narrowest type that holds all of it.
    pub fn kind(self) -> Kind {
        let numbers = Self::INT.and(Self::WIDE_INT).and(Self::REAL);
        if self.is_none()
            || self.has(Self::TEXT)
            || (self.has(Self::BOOL) && self.has(numbers))
            || (self.has(Self::WIDE_INT) && self.has(Self::REAL))
        {
            Kind::Text
        } else if self.has(Self::BOOL) {
            Kind::Bool
        } else if self.has(Self::REAL) {
            Kind::Real
        } else {
            Kind::Int
        }
    }

    /// The type of a key: whole numbers, or text.
    pub fn key_kind(self) -> Kind {
        match self.kind() {
            Kind::Int => Kind::Int,
            _ => Kind::Text,
        }
    }
}

/// A number as text.
pub(super) fn real_text(value: f64, out: &mut String) {
    #[expect(clippy::cast_precision_loss, reason = "it is a power of two")]
    let exact = EXACT as f64;
    // Writing into a string does not fail.
    if value.abs() < exact && value.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and within range")]
        let _ = write!(out, "{}", value as i64);
        return;
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e') {
        // As PostgreSQL writes it.
        Some((digits, power)) if !power.parse().is_ok_and(|power: i32| (-4..15).contains(&power)) => {
            let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
            let _ = write!(out, "{digits}e{sign}{power:0>2}");
        }
        _ => {
            let _ = write!(out, "{value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Kinds, real_text};

    #[test]
    fn types_widen_to_the_same_whatever_the_order() {
        let all = [Kinds::BOOL, Kinds::INT, Kinds::WIDE_INT, Kinds::REAL, Kinds::TEXT];
        for a in all {
            for b in all {
                assert_eq!(a.and(b).kind(), b.and(a).kind());
            }
        }
        assert_eq!(Kinds::INT.and(Kinds::REAL).kind(), Kind::Real);
        assert_eq!(Kinds::WIDE_INT.and(Kinds::REAL).kind(), Kind::Text);
        assert_eq!(Kinds::BOOL.and(Kinds::INT).kind(), Kind::Text);
        assert_eq!(Kinds::of_int(1 << 53).kind(), Kind::Int);
        assert_eq!(Kinds::of_int(i64::MIN), Kinds::WIDE_INT);
        assert_eq!(Kinds::REAL.key_kind(), Kind::Text);
    }

    #[test]
    fn numbers_are_written_in_one_way() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (5.0, "5"),
            (1.5, "1.5"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1e15, "1000000000000000"),
            (1e16, "1e+16"),
            (1e100, "1e+100"),
            (-2.5e-300, "-2.5e-300"),
            (123_456_789_012_345.7, "123456789012345.7"),
        ] {
            let mut out = String::new();
            real_text(number, &mut out);
            assert_eq!(out, text);
        }
    }
}
