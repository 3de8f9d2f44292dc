//! The forms in which a value is looked for: as it is, line by line, and as common tools write it.

use std::collections::BTreeSet;

use secret::LEAST_BYTES;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Bytes in a line of `base64`, and of PEM.
const LINE_BYTES: [usize; 2] = [57, 48];

/// Returns every guise of a value, each once.
pub(super) fn guises(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = BTreeSet::new();
    written(value, &mut all);
    for line in value.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        written(line, &mut all);
    }
    for alphabet in [STANDARD, URL_SAFE] {
        for before in 0..3 {
            all.extend(base64(value, before, alphabet));
        }
        for bytes in LINE_BYTES {
            if value.len() > bytes {
                all.extend(value.chunks(bytes).flat_map(|line| base64(line, 0, alphabet)));
            }
        }
    }
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        all.insert(value.iter().flat_map(|byte| hex(*byte, digits)).collect());
    }
    all.into_iter().filter(|guise| guise.len() >= LEAST_BYTES).collect()
}

/// Adds the ways in which programs write a text within another.
fn written(text: &[u8], all: &mut BTreeSet<Vec<u8>>) {
    if text.len() < LEAST_BYTES {
        return;
    }
    all.insert(text.to_vec());
    for escape in [json, json_with_slashes, json_in_ascii] {
        all.insert(escape(text));
    }
    for escape in [single_quoted, double_quoted, backslashed, ansi_quoted] {
        all.insert(text.iter().flat_map(|byte| escape(*byte)).collect());
    }
    for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
        for kept in ["-._~", "-._~/", "-._~!'()*", "-._*+"] {
            all.insert(percent(text, kept.as_bytes(), digits));
        }
    }
}

fn hex(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]
}

/// Encodes what stands behind so many other bytes of a whole text. The characters that those decide
/// are left out, and so are those that the bytes behind decide, but for a text that ends here.
fn base64(value: &[u8], before: usize, alphabet: &[u8; 64]) -> Vec<Vec<u8>> {
    let mut padded = vec![0; before];
    padded.extend_from_slice(value);
    let mut characters = Vec::new();
    for group in padded.chunks(3) {
        let byte = |at: usize| group.get(at).copied().unwrap_or(0);
        let bits = u32::from_be_bytes([0, byte(0), byte(1), byte(2)]);
        let count = group.len() + 1;
        let character = |at: usize| alphabet[(bits >> (18 - 6 * at) & 63) as usize];
        characters.extend((0..count).map(character));
    }
    let first = (8 * before).div_ceil(6);
    let whole = 8 * padded.len() / 6;
    let padding = padded.len().div_ceil(3) * 4 - characters.len();
    let mut with_padding = characters.clone();
    with_padding.extend(std::iter::repeat_n(b'=', padding));
    [&characters[..whole], &characters, &with_padding].map(|text| text[first..].to_vec()).into()
}

/// Decodes UTF-8 as far as it is some, for escapes that know characters.
fn json(text: &[u8]) -> Vec<u8> {
    text.iter().flat_map(|byte| json_byte(*byte)).collect()
}

fn json_byte(byte: u8) -> Vec<u8> {
    match byte {
        b'"' | b'\\' => vec![b'\\', byte],
        b'\n' => b"\\n".to_vec(),
        b'\r' => b"\\r".to_vec(),
        b'\t' => b"\\t".to_vec(),
        8 => b"\\b".to_vec(),
        12 => b"\\f".to_vec(),
        0..=31 => format!("\\u{byte:04x}").into_bytes(),
        _ => vec![byte],
    }
}

fn json_with_slashes(text: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| if *byte == b'/' { b"\\/".to_vec() } else { json_byte(*byte) };
    text.iter().flat_map(escape).collect()
}

fn json_in_ascii(text: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(text) else { return json(text) };
    let mut written = Vec::new();
    for character in text.chars() {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => written.extend(json_byte(byte)),
            Ok(_) | Err(_) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    written.extend(format!("\\u{unit:04x}").into_bytes());
                }
            }
        }
    }
    written
}

/// Within `'…'`.
fn single_quoted(byte: u8) -> Vec<u8> {
    if byte == b'\'' { b"'\\''".to_vec() } else { vec![byte] }
}

/// Within `"…"`.
fn double_quoted(byte: u8) -> Vec<u8> {
    if matches!(byte, b'"' | b'\\' | b'$' | b'`') { vec![b'\\', byte] } else { vec![byte] }
}

/// As `printf %q` writes it.
fn backslashed(byte: u8) -> Vec<u8> {
    if b" \t!\"#$&'()*;<>?[\\]^`{|},~".contains(&byte) { vec![b'\\', byte] } else { vec![byte] }
}

/// Within `$'…'`, which shells write where there are control characters.
fn ansi_quoted(byte: u8) -> Vec<u8> {
    match byte {
        b'\'' => b"\\'".to_vec(),
        7 => b"\\a".to_vec(),
        11 => b"\\v".to_vec(),
        27 => b"\\E".to_vec(),
        b'"' => vec![byte],
        0..=31 if !matches!(byte, 8..=13) => format!("\\{byte:03o}").into_bytes(),
        _ => json_byte(byte),
    }
}

/// Encodes for an address. Where `+` is kept it stands for a space, as in forms.
fn percent(text: &[u8], kept: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    let is_form = kept.contains(&b'+');
    let mut written = Vec::new();
    for byte in text {
        match byte {
            b' ' if is_form => written.push(b'+'),
            b'+' => written.extend([b'%', b'2', digits[11]]),
            byte if byte.is_ascii_alphanumeric() || kept.contains(byte) => written.push(*byte),
            byte => {
                written.push(b'%');
                written.extend(hex(*byte, digits));
            }
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, guise: &str) -> bool {
        guises(value.as_bytes()).iter().any(|known| known == guise.as_bytes())
    }

    #[test]
    fn what_common_tools_write_is_known() {
        // As base64, xxd, jq, bash and python wrote them.
        let value = "p@ss w0rd'\"\\/?~+";
        for guise in [
            "cEBzcyB3MHJkJyJcLz9+Kw==",
            "cEBzcyB3MHJkJyJcLz9+Kw",
            "cEBzcyB3MHJkJyJcLz9-Kw==",
            "BAc3MgdzByZCciXC8/fi", // behind one byte
            "wQHNzIHcwcmQnIlwvP34r",
            "704073732077307264 27225c2f3f7e2b".replace(' ', "").as_str(),
            "70407373207730726427225C2F3F7E2B",
            r#"p@ss w0rd'\"\\/?~+"#,
            r#"p@ss w0rd'\"\\\/?~+"#,
            r#"p@ss w0rd'\''"\/?~+"#,
            r#"p@ss\ w0rd\'\"\\/\?\~+"#,
            "p%40ss%20w0rd%27%22%5C%2F%3F~%2B",
            "p%40ss%20w0rd%27%22%5c%2f%3f~%2b",
            "p%40ss%20w0rd%27%22%5C/%3F~%2B",
            "p%40ss+w0rd%27%22%5C%2F%3F%7E%2B",
        ] {
            assert!(has(value, guise), "{guise}");
        }
        assert!(has("grün und blau", r"gr\u00fcn und blau"));
        assert!(has("one line\nand two\n", "one line") && has("one line\nand two\n", "and two"));
        assert!(has("one line\nand two", r"one line\nand two"));
        assert!(!has("one line\nand", "and"), "too short to be looked for");
    }

    #[test]
    fn what_base64_breaks_into_lines_is_known_line_by_line() {
        let value = "0123456789".repeat(7);
        let first = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2";
        assert!(has(&value, first) && has(&value, "Nzg5MDEyMzQ1Njc4OQ=="));
        assert!(has(&value, &first[..64]));
    }
}
