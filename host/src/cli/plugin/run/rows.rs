//! Rows as they are typed: bytes in hexadecimal digits.

use std::io::BufRead;

use anyhow::Context;

use crate::cli::plugin::Usage;

/// The rows' bytes; `-` stands for the lines of `input`.
pub(super) fn hex(arguments: &[String], input: &mut impl BufRead) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut rows = Vec::new();
    let mut add = |position: String, hex: &str| match bytes(hex) {
        Ok(row) => {
            rows.push(row);
            Ok(())
        }
        Err(why) => Err(Usage(format!("{position}: {why}"))),
    };
    for argument in arguments {
        if argument != "-" {
            add("--hex".to_owned(), argument)?;
            continue;
        }
        for (index, line) in input.by_ref().lines().enumerate() {
            let line = line.context("cannot read standard input")?;
            add(format!("line {} of standard input", index + 1), line.trim())?;
        }
    }
    Ok(rows)
}

/// Two hexadecimal digits a byte, perhaps after `0x`; spaces, `:` and `_` may stand between.
fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex).chars();
    let digits: Option<Vec<u8>> = digits
        .filter(|digit| !matches!(digit, ' ' | ':' | '_'))
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let digits = digits.ok_or_else(|| format!("expected hexadecimal digits, found {hex:?}"))?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!(
            "expected two digits a byte, found {} digits in {hex:?}",
            digits.len()
        ));
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_hexadecimal_with_or_without_marks() {
        for hex in ["0a00ff", "0x0A00ff", "0a:00:ff", "0a 00 ff"] {
            assert_eq!(bytes(hex), Ok(vec![10, 0, 255]), "{hex}");
        }
        assert_eq!(bytes(""), Ok(vec![]));
        assert!(bytes("0").is_err() && bytes("zz").is_err());
    }

    #[test]
    fn a_dash_stands_for_lines() {
        let rows = |arguments: &[&str], input: &str| {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            hex(&arguments, &mut input.as_bytes())
        };
        assert_eq!(
            rows(&["01", "-", "04"], "02\n\n03\n").unwrap(),
            [&[1][..], &[2], &[], &[3], &[4]]
        );
        assert_eq!(
            rows(&["-"], "02\n0x\n1").unwrap_err().to_string(),
            "line 3 of standard input: expected two digits a byte, found 1 digits in \"1\""
        );
    }
}
