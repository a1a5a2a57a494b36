//! Go's regular expressions in terms of the regex crate's: the same engine idea (RE2), with small
//! differences of syntax and of what a character is.
//!
//! Go's `\d \s \w \b` are ASCII, its classes know no nesting and no set operations, `\Q…\E` quotes,
//! `\<` is a `<`, and a brace that is no repetition is a brace.

use std::iter::Peekable;
use std::str::Chars;

/// The pattern as the regex crate takes it. What Go would refuse is left to the regex crate to
/// refuse.
#[must_use]
pub fn translate(pattern: &str) -> String {
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        out: String::new(),
    };
    translator.pattern();
    translator.out
}

/// For one compiled pattern, in bytes. Go limits repetition to 1000 for the same reason.
pub const SIZE_LIMIT: usize = 4 << 20;

/// Why a pattern does not compile: the last line of the error. Those before draw the pattern as it
/// was translated, which the operator did not write.
#[must_use]
pub fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

impl Translator<'_> {
    fn pattern(&mut self) {
        while let Some(char) = self.rest.next() {
            match char {
                '\\' => self.escape(false),
                '[' => self.class(),
                '{' if self.is_repetition() => self.copy_through('}', '{'),
                '{' | '}' | ']' => self.literal(char),
                '(' if self.rest.peek() == Some(&'?') => self.group_head(),
                _ => self.out.push(char),
            }
        }
    }

    /// `(?flags)`, `(?flags:` or `(?P<name>`, after its parenthesis.
    fn group_head(&mut self) {
        self.out.push('(');
        for char in self.rest.by_ref() {
            self.out.push(char);
            if matches!(char, ')' | ':' | '>') {
                break;
            }
        }
    }

    /// Whether `{` starts `{n}`, `{n,}` or `{n,m}`.
    fn is_repetition(&self) -> bool {
        let mut rest = self.rest.clone();
        let mut number = || {
            let mut digits = String::new();
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            (digits, rest.next())
        };
        // Go takes no leading zeros here.
        let is_number =
            |digits: &str| !digits.is_empty() && (digits == "0" || !digits.starts_with('0'));
        match number() {
            (min, Some('}')) => is_number(&min),
            (min, Some(',')) => match number() {
                (max, Some('}')) => is_number(&min) && (max.is_empty() || is_number(&max)),
                _ => false,
            },
            _ => false,
        }
    }

    /// Copies what was read already and the rest through `end`.
    fn copy_through(&mut self, end: char, read: char) {
        self.out.push(read);
        for char in self.rest.by_ref() {
            self.out.push(char);
            if char == end {
                break;
            }
        }
    }

    fn literal(&mut self, char: char) {
        self.out
            .push_str(&regex::escape(char.encode_utf8(&mut [0; 4])));
    }

    /// What follows a backslash.
    fn escape(&mut self, in_class: bool) {
        let Some(char) = self.rest.next() else {
            return self.out.push('\\');
        };
        match char {
            'd' => self.out.push_str("[0-9]"),
            'D' => self.out.push_str("[^0-9]"),
            's' => self.out.push_str(r"[\t\n\f\r ]"),
            'S' => self.out.push_str(r"[^\t\n\f\r ]"),
            'w' => self.out.push_str("[0-9A-Za-z_]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            'b' if !in_class => self.out.push_str(r"(?-u:\b)"),
            'B' if !in_class => self.out.push_str(r"(?-u:\B)"),
            'Q' if !in_class => self.quoted(),
            'x' | 'p' | 'P' => {
                self.out.push('\\');
                self.out.push(char);
                match self.rest.next() {
                    Some('{') => self.copy_through('}', '{'),
                    Some(next) => self.out.push(next),
                    None => {}
                }
            }
            '0'..='7' => self.octal(char),
            _ if char.is_ascii() && !char.is_ascii_alphanumeric() => self.literal(char),
            _ => {
                self.out.push('\\');
                self.out.push(char);
            }
        }
    }

    /// `\Q` through `\E`, or to the end.
    fn quoted(&mut self) {
        while let Some(char) = self.rest.next() {
            if char == '\\' && self.rest.peek() == Some(&'E') {
                self.rest.next();
                return;
            }
            self.literal(char);
        }
    }

    /// `\0`, `\12` or `\123`; `\1` alone would be a back-reference, which neither knows.
    fn octal(&mut self, first: char) {
        let mut digits = String::from(first);
        while let Some(digit) = self
            .rest
            .next_if(|next| digits.len() < 3 && ('0'..='7').contains(next))
        {
            digits.push(digit);
        }
        match u32::from_str_radix(&digits, 8) {
            Ok(code) if first == '0' || digits.len() > 1 => {
                self.out.push_str(&format!(r"\x{{{code:x}}}"));
            }
            _ => {
                self.out.push('\\');
                self.out.push_str(&digits);
            }
        }
    }

    /// A class, after its bracket.
    fn class(&mut self) {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        // The first bracket of a class is one of its characters.
        if self.rest.next_if_eq(&']').is_some() {
            self.literal(']');
        }
        while let Some(char) = self.rest.next() {
            match char {
                ']' => return self.out.push(']'),
                '[' if self.is_posix_class() => self.copy_through(']', '['),
                '\\' if self
                    .rest
                    .peek()
                    .is_some_and(|next| "dDsSwWpP".contains(*next)) =>
                {
                    self.escape(true)
                }
                _ => {
                    self.class_char(char);
                    if self.is_range()
                        && let (Some(dash), Some(end)) = (self.rest.next(), self.rest.next())
                    {
                        self.out.push(dash);
                        self.class_char(end);
                    }
                }
            }
        }
    }

    /// One character of a class, written as itself or escaped.
    fn class_char(&mut self, char: char) {
        match char {
            '\\' => self.escape(true),
            _ => self.literal(char),
        }
    }

    /// Whether the character just read starts a range: `-` follows, and something that is not the
    /// end of the class.
    fn is_range(&self) -> bool {
        let mut rest = self.rest.clone();
        rest.next() == Some('-') && rest.next().is_some_and(|next| next != ']')
    }

    /// Whether `[` starts `[:name:]`.
    fn is_posix_class(&self) -> bool {
        let rest: String = self.rest.clone().collect();
        rest.strip_prefix(':')
            .is_some_and(|rest| rest.contains(":]"))
    }
}

#[cfg(test)]
mod tests {
    use regex::bytes::Regex;

    use super::*;

    /// What Go's pattern finds in the text.
    fn find<'a>(pattern: &str, text: &'a str) -> Option<&'a str> {
        let regex =
            Regex::new(&translate(pattern)).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let found = regex.find(text.as_bytes())?;
        Some(str::from_utf8(found.as_bytes()).unwrap())
    }

    #[test]
    fn perl_classes_are_ascii() {
        assert_eq!(find(r"\w+", "éab_1é"), Some("ab_1"));
        assert_eq!(find(r"\W+", "aéöb"), Some("éö"));
        assert_eq!(find(r"[\w-]+", "é-a-é"), Some("-a-"));
        assert_eq!(find(r"[^\d]", "1é"), Some("é"));
        assert_eq!(find(r"\d", "\u{664}"), None);
        assert_eq!(find(r"\bb", "éb"), Some("b"));
        assert_eq!(find(r"a\s", "a\u{a0}"), None);
    }

    #[test]
    fn classes_do_not_nest_and_know_no_operators() {
        assert_eq!(find(r"[[a]+", "x[a["), Some("[a["));
        assert_eq!(find(r"[]a]+", "x]a"), Some("]a"));
        assert_eq!(find(r"[^]a]", "]ab"), Some("b"));
        assert_eq!(find(r"[a&&b]+", "&ab"), Some("&ab"));
        assert_eq!(find(r"[+--]+", "a+,-"), Some("+,-"));
        assert_eq!(find(r"[a-c-e]+", "d-ce"), Some("-ce"));
        assert_eq!(find(r"[\w--x]+", "=.y"), Some("=.y"));
        assert_eq!(find(r"[a~~b-]+", "~-"), Some("~-"));
        assert_eq!(find(r"[[:alpha:]-]+", "1a-b"), Some("a-b"));
        assert_eq!(find(r"[\]\x41-\x43]+", "x]BC"), Some("]BC"));
    }

    #[test]
    fn braces_repeat_only_where_they_can() {
        assert_eq!(find(r"a{2}", "aaa"), Some("aa"));
        assert_eq!(find(r"a{2,}b{0,1}", "aaab"), Some("aaab"));
        assert_eq!(find(r"a{,2}", "aaa{,2}"), Some("a{,2}"));
        assert_eq!(find(r"{x}", "{x}"), Some("{x}"));
        assert_eq!(find(r"a{01}", "a{01}"), Some("a{01}"));
        assert_eq!(find(r"x]}", "x]}"), Some("x]}"));
    }

    #[test]
    fn escapes() {
        assert_eq!(find(r"\Qa.b*\E+", "a.b**"), Some("a.b**"));
        assert_eq!(find(r"\Q[", "["), Some("["));
        assert_eq!(find(r"\<\>\/\-\_", "</<>/-_"), Some("<>/-_"));
        assert_eq!(find(r"\x{e9}\351\0?", "éé"), Some("éé"));
        assert_eq!(find(r"\.service$", "ssh.service"), Some(".service"));
        assert_eq!(find(r"(?i)É", "é"), Some("é"));
        assert_eq!(find(r"\pL+", "1éλ2"), Some("éλ"));
        assert_eq!(find(r"[\p{Greek}\d]+", "éλ2"), Some("λ2"));
        assert_eq!(find(r"(?P<x>a)(?s:.)\z", "a\n"), Some("a\n"));
        for bad in [r"\1", r"a\", r"[a", r"(", r"a**b)", r"(?=a)"] {
            assert!(Regex::new(&translate(bad)).is_err(), "{bad}");
        }
    }
}
